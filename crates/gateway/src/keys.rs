//! The gateway's own keys, as files of one folder (a mounted Secret, in a cluster), the same for all replicas: its SSH host
//! key, the key that signs grants, and the authority that signs its certificates. The controller's share stands beside them.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use berth_grant::ed25519_dalek::SigningKey;
use chrono::Utc;
use rand::RngExt;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

use crate::tls::local;

/// In OpenSSH's format, unencrypted.
pub const HOST_KEY: &str = "ssh_host_ed25519_key";
pub const GRANT_KEY: &str = "grant_ed25519_key";
/// Of the authority that signs the gateway's certificates where no others are configured; PEM.
pub const CA_KEY: &str = "ca_key.pem";
/// What people trust; PEM, and nothing secret.
pub const CA_CERTIFICATE: &str = "ca.pem";
/// What containers' host keys are made from.
pub const HOST_KEY_SECRET: &str = "container_host_key_secret";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{file}: {error}")]
    Io { file: String, error: io::Error },
    #[error("{file}: not an unencrypted ed25519 key in OpenSSH's format")]
    Malformed { file: String },
    #[error(transparent)]
    Authority(#[from] crate::tls::Failed),
}

/// Only ever what the files say; its Debug prints none of it.
pub struct Keys {
    pub(crate) host: PrivateKey,
    pub(crate) grant: SigningKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// # Errors
    /// [`Error`] names the file.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let (host, _) = read_key(&folder.join(HOST_KEY))?;
        let (_, pair) = read_key(&folder.join(GRANT_KEY))?;
        Ok(Self { host, grant: SigningKey::from_bytes(&pair.private.to_bytes()) })
    }

    /// What agents are told of the key that signs grants: a line of a `.pub` file.
    pub fn grant_public_key(&self) -> String {
        let public = Ed25519Keypair::from(&self.grant).public;
        ssh_key::PublicKey::from(public).to_openssh().unwrap_or_default()
    }
}

/// Makes what is missing, and changes nothing that is there.
///
/// # Errors
/// [`Error`] names the file.
pub fn make(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for name in [HOST_KEY, GRANT_KEY] {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&rand::rng().random()));
        let text = key.to_openssh(LineEnding::LF).map(|text| text.to_string()).unwrap_or_default();
        write_new(&folder.join(name), &text)?;
    }
    let ca_key = folder.join(CA_KEY);
    write_new(&ca_key, &local::make_key()?)?;
    let text = std::fs::read_to_string(&ca_key).map_err(|error| failed(&ca_key, error))?;
    write_new(&folder.join(CA_CERTIFICATE), &local::make_certificate(&text, Utc::now())?)?;
    let secret: [u8; 32] = rand::rng().random();
    write_new(&folder.join(HOST_KEY_SECRET), &secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn read_key(file: &Path) -> Result<(PrivateKey, Ed25519Keypair), Error> {
    let text = std::fs::read_to_string(file).map_err(|error| failed(file, error))?;
    let malformed = || Error::Malformed { file: file.display().to_string() };
    let key = PrivateKey::from_openssh(text).map_err(|_| malformed())?;
    match key.key_data() {
        KeypairData::Ed25519(pair) => Ok((key.clone(), pair.clone())),
        _other => Err(malformed()),
    }
}

/// Whole or not at all, readable by its owner alone.
fn write_new(file: &Path, text: &str) -> Result<(), Error> {
    if file.exists() {
        return Ok(());
    }
    let new = file.with_extension("new");
    let write = || {
        let mut out = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        std::fs::rename(&new, file)
    };
    write().map_err(|error| failed(file, error))
}

fn failed(file: &Path, error: io::Error) -> Error {
    Error::Io { file: file.display().to_string(), error }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;

    #[test]
    fn keys_are_made_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Keys::load(folder.path()).unwrap_err().to_string().contains(HOST_KEY));
        make(folder.path()).unwrap();
        let first = Keys::load(folder.path()).unwrap();
        make(folder.path()).unwrap();
        let again = Keys::load(folder.path()).unwrap();
        assert_eq!(first.host.public_key(), again.host.public_key());
        assert_eq!(first.grant_public_key(), again.grant_public_key());
        assert!(first.grant_public_key().starts_with("ssh-ed25519 "));
    }
}
