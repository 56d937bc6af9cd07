//! The server's settings, each with its reason.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use super::gate::WINDOW;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use russh::server::Config;
use russh::{Limits, MethodKind, MethodSet, Preferred, SshId, cipher, compression};

/// The two that the processor has instructions for come first: less than two thirds of the work. A client's own order counts
/// before ours, and OpenSSH's begins with ChaCha20; not to offer that would shut out clients that know no GCM.
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];

/// Kinds of keys that may log in. No SHA-1, whatever russh's own list says.
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::SkEd25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::SkEcdsaSha2NistP256,
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// # Errors
/// The host key is no unencrypted ed25519 key: with one of RSA, an open weakness of the library would be ours.
pub(super) fn config(host_key: &str) -> io::Result<Config> {
    let wrong = |words: String| io::Error::new(io::ErrorKind::InvalidData, format!("the host key: {words}"));
    let key = PrivateKey::from_openssh(host_key).map_err(|error| wrong(error.to_string()))?;
    if key.algorithm() != Algorithm::Ed25519 || key.is_encrypted() {
        return Err(wrong("it must be an unencrypted ed25519 key".to_owned()));
    }
    Ok(Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Berth")),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // There is no secret that a delay could protect: a public key is in the grant or it is not.
        auth_rejection_time: Duration::ZERO,
        keys: vec![key],
        window_size: WINDOW,
        maximum_packet_size: 32 * 1024,
        event_buffer_size: 64,
        preferred: Preferred {
            key: Cow::Borrowed(KEYS),
            cipher: Cow::Borrowed(CIPHERS),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        limits: Limits::default(),
        // An open shell may be left alone for days; whether somebody is still there is what keepalives find out.
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 8,
        ..Config::default()
    })
}
