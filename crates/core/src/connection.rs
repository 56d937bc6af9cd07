//! One connection of somebody to a container, as the audit log keeps it once it has ended.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::audit::Action;
use crate::id::{ContainerId, UserId};
use crate::name::Username;

/// Random; a connection that is told of twice is kept once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId([u8; 16]);

impl ConnectionId {
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ConnectionId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bits = u128::from_str_radix(text, 16).ok().map(|bits| Self(bits.to_be_bytes()));
        // One spelling of each: the length, the sign and the case are this type's own.
        bits.filter(|id| id.to_string() == text).ok_or_else(|| Invalid::new("id", "an id is 32 lower-case hex digits"))
    }
}

/// What was spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spoken {
    Ssh,
    Http,
    Https,
    Tcp,
}

impl Spoken {
    pub fn action(self) -> Action {
        match self {
            Self::Ssh => Action::ConnectionSsh,
            Self::Http => Action::ConnectionHttp,
            Self::Https => Action::ConnectionHttps,
            Self::Tcp => Action::ConnectionTcp,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub id: ConnectionId,
    pub spoken: Spoken,
    pub container: ContainerId,
    /// Who logged in, by SSH; nobody is known who only visits a port.
    pub user: Option<(UserId, Username)>,
    /// `SHA256:…`
    pub key: Option<String>,
    pub from: IpAddr,
    pub started: DateTime<Utc>,
    pub lasted: TimeDelta,
    /// Bytes from the visitor.
    pub bytes_in: u64,
    /// Bytes to the visitor.
    pub bytes_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = ConnectionId::from_random([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "ab", &"AB".repeat(16), &format!("+{}", "ab".repeat(16)), &"xy".repeat(16), &"ab".repeat(17)] {
            assert_eq!(bad.parse::<ConnectionId>().unwrap_err().field, "id", "{bad}");
        }
    }
}
