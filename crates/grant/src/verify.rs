//! Whether a grant is to be believed. The signature comes first: nothing of an unsigned message is looked at.

use berth_core::id::{ContainerId, Generation};
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, VerifyingKey};
use ssh_key::public::KeyData;

use crate::nonces::Full;
use crate::{Grant, LIFETIME, Nonces, SKEW, wire};

/// The public halves of the gateways' keys: the current one, and the previous while it is being replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayKeys(Vec<VerifyingKey>);

impl GatewayKeys {
    /// Lines of `ssh-ed25519 …`, as in a `.pub` file; empty lines and those after a `#` are skipped.
    ///
    /// # Errors
    /// The number of the line that is no such key.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(one(line).ok_or(at + 1)?);
        }
        Ok(Self(keys))
    }
}

impl GatewayKeys {
    pub(crate) fn signed(&self, words: &[u8], signature: &Signature) -> bool {
        self.0.iter().any(|key| key.verify_strict(words, signature).is_ok())
    }
}

impl From<Vec<VerifyingKey>> for GatewayKeys {
    fn from(keys: Vec<VerifyingKey>) -> Self {
        Self(keys)
    }
}

fn one(line: &str) -> Option<VerifyingKey> {
    match ssh_key::PublicKey::from_openssh(line).ok()?.key_data() {
        KeyData::Ed25519(key) => VerifyingKey::from_bytes(&key.0).ok(),
        _other => None,
    }
}

/// Whom a grant must be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    pub container: ContainerId,
    /// The generation that made this pod; what was granted before meant an earlier life of the container.
    pub since: Generation,
}

/// Why a connection is not opened. For logs; a peer is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the grant is not signed by a gateway of this installation")]
    Forged,
    #[error("the grant is signed, but cannot be read")]
    Malformed,
    #[error("the grant is for another container")]
    Foreign,
    #[error("the grant is for an earlier life of this container")]
    Stale,
    #[error("the grant has expired")]
    Expired,
    #[error("the grant lasts longer than any gateway's")]
    TooLong,
    #[error("the grant was used before")]
    Replayed,
    #[error("too many connections are being opened at once")]
    Busy,
}

/// `body` is what follows a frame's head. A grant that is returned is thereby used.
///
/// # Errors
/// [`Refusal`]; then nothing was remembered.
pub fn verify(
    body: &[u8],
    keys: &GatewayKeys,
    audience: Audience,
    now: DateTime<Utc>,
    nonces: &mut Nonces,
) -> Result<Grant, Refusal> {
    let (body, signature) = body.split_last_chunk().ok_or(Refusal::Forged)?;
    let signature = Signature::from_bytes(signature);
    if !keys.signed(&wire::signed(body), &signature) {
        return Err(Refusal::Forged);
    }
    let grant = wire::decode(body).ok_or(Refusal::Malformed)?;
    if grant.container != audience.container {
        return Err(Refusal::Foreign);
    }
    if grant.generation < audience.since {
        return Err(Refusal::Stale);
    }
    if grant.expires < now {
        return Err(Refusal::Expired);
    }
    if grant.expires - now > LIFETIME + SKEW {
        return Err(Refusal::TooLong);
    }
    match nonces.first_use(grant.nonce, grant.expires, now) {
        Ok(true) => Ok(grant),
        Ok(false) => Err(Refusal::Replayed),
        Err(Full) => Err(Refusal::Busy),
    }
}
