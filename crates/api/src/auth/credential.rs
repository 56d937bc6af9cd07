//! Bearer secrets that we make: a prefix that says what it is, and 256 random bits. Only the hash is stored.

use berth_store::SecretHash;
use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

pub(crate) const SESSION: &str = "berth_s_";
pub(crate) const TOKEN: &str = "berth_t_";

/// A new API token.
///
/// # Panics
/// When the operating system has no random numbers: nothing is safe then.
pub fn generate() -> SecretString {
    random(TOKEN)
}

pub(crate) fn session() -> SecretString {
    random(SESSION)
}

pub fn hash(secret: &str) -> SecretHash {
    SecretHash(Sha256::digest(secret.as_bytes()).into())
}

pub(crate) fn random(prefix: &str) -> SecretString {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system has random numbers");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    SecretString::from(format!("{prefix}{hex}"))
}
