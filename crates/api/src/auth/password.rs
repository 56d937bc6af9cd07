//! Passwords: argon2id with the crate's current parameters, off the async threads.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::credential;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the password could not be hashed")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("the stored password hash cannot be read")]
    Read(#[from] argon2::password_hash::phc::Error),
    #[error("the password hasher was stopped")]
    Stopped(#[from] tokio::task::JoinError),
    #[error("the password hasher is closed")]
    Closed(#[from] tokio::sync::AcquireError),
}

/// Each takes 19 MiB and a core for a moment: many guessers at once must not take all of both.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// A password of 256 random bits.
pub fn generate() -> SecretString {
    credential::random("")
}

/// # Errors
/// [`Error`] when hashing fails.
pub async fn hash(password: SecretString) -> Result<String, Error> {
    let work =
        move || Argon2::default().hash_password(password.expose_secret().as_bytes()).map(|hash| hash.to_string());
    let _turn = AT_ONCE.acquire().await?;
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// Whether `password` is the one behind `hash`. Without a hash (no such account) the same work is done and the answer is
/// no, so that the time taken does not tell which names exist.
///
/// # Errors
/// [`Error`] when the work could not be done.
pub async fn verify(password: SecretString, hash: Option<String>) -> Result<bool, Error> {
    let Some(hash) = hash else {
        self::hash(password).await?;
        return Ok(false);
    };
    let work = move || {
        let hash = PasswordHash::new(&hash)?;
        Ok(Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash).is_ok())
    };
    let _turn = AT_ONCE.acquire().await?;
    tokio::task::spawn_blocking(work).await?
}
