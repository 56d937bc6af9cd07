//! The leave with which the gateway opens a connection to a container's agent.
//!
//! The gateway decides who may log in; the agent believes nobody else. So the first bytes of every connection to an agent are
//! one [`Grant`], signed by the gateways' key: which container it is for, which public keys may log in over this connection,
//! where the person comes from, and until when. After it comes SSH. Keys are thereby injected and revoked at once: no file
//! travels anywhere, and whoever else reaches the port can do nothing.
//!
//! Everything here is pure. Time, keys and the memory of what was seen are passed in; reading the bytes from a socket is the
//! caller's, with [`Head`] to say how many.

mod frame;
mod nonces;
pub mod report;
mod verify;
mod wire;

use std::net::SocketAddr;

use berth_core::id::{ContainerId, Generation};
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::{Signer, SigningKey};
use ssh_key::public::KeyData;

pub use ed25519_dalek;
pub use frame::{BadHead, HEAD_LEN, Head, MAX_LEN};
pub use nonces::{Full, Nonces};
pub use verify::{Audience, GatewayKeys, Refusal, verify};

/// For how long a grant is good: the time a connection needs to reach the agent.
pub const LIFETIME: TimeDelta = TimeDelta::seconds(30);
/// By how much the clocks of a gateway and of a node may differ.
pub const SKEW: TimeDelta = TimeDelta::seconds(30);
/// Keys that one grant may name.
pub const MAX_KEYS: usize = 1024;

/// What a gateway vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub container: ContainerId,
    /// Of the route that the gateway read. A pod accepts no grant from before its own making.
    pub generation: Generation,
    /// Who may log in over this connection: the owner's keys of this moment, or one of the gateway's own where it opens the
    /// inner session itself. At most [`MAX_KEYS`].
    pub keys: Vec<KeyData>,
    /// Where the person comes from, as the gateway saw it.
    pub address: SocketAddr,
    /// Whole seconds count.
    pub expires: DateTime<Utc>,
    /// Random, never used twice: a grant opens one connection.
    pub nonce: [u8; 16],
}

impl Grant {
    /// The bytes to send before anything else.
    ///
    /// # Errors
    /// [`Unencodable`] when it names too many keys, or one that cannot be written.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, Unencodable> {
        let mut body = wire::encode(self)?;
        let signature = key.sign(&wire::signed(&body));
        body.extend_from_slice(&signature.to_bytes());
        frame::framed(&body)
    }
}

/// A grant that no agent would read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a grant names at most {MAX_KEYS} keys, in at most {MAX_LEN} bytes")]
pub struct Unencodable;
