//! The server's settings.

use std::io;

use russh::keys::{Algorithm, PrivateKey};
use russh::server::Config;

/// # Errors
/// The host key is no unencrypted ed25519 key: with one of RSA, an open weakness of the library would be ours.
pub(super) fn config(host_key: &str) -> io::Result<Config> {
    let wrong = |words: String| io::Error::new(io::ErrorKind::InvalidData, format!("the host key: {words}"));
    let key = PrivateKey::from_openssh(host_key).map_err(|error| wrong(error.to_string()))?;
    if key.algorithm() != Algorithm::Ed25519 || key.is_encrypted() {
        return Err(wrong("it must be an unencrypted ed25519 key".to_owned()));
    }
    Ok(berth_sshkit::server_config(key))
}
