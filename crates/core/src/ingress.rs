//! Ingress rules: which port of a container's host name leads to which port inside.

use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::id::RuleId;
use crate::names::AGENT_PORT;

/// A port of the gateway: 80, 443 or 8000–8999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicPort(u16);

impl PublicPort {
    /// A rule on it and `https_enabled` are one thing.
    pub const HTTPS: Self = Self(443);
    /// Beside 80 and 443.
    pub const MORE: RangeInclusive<u16> = 8000..=8999;

    /// # Errors
    /// [`Invalid`] with field `port`.
    pub fn new(port: i64) -> Result<Self, Invalid> {
        match u16::try_from(port) {
            Ok(port) if matches!(port, 80 | 443) || Self::MORE.contains(&port) => Ok(Self(port)),
            Ok(_) | Err(_) => Err(Invalid::new("port", "port is 80, 443 or one of 8000 to 8999")),
        }
    }

    /// For rows that were checked when they were written.
    pub fn from_stored(port: u16) -> Self {
        Self(port)
    }

    pub fn get(self) -> u16 {
        self.0
    }
}

/// A port inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetPort(u16);

impl TargetPort {
    /// # Errors
    /// [`Invalid`] with field `target_port`. The agent's port is refused: a rule would open it to everybody.
    pub fn new(port: i64) -> Result<Self, Invalid> {
        match u16::try_from(port) {
            Ok(AGENT_PORT) => {
                Err(Invalid::new("target_port", format!("port {AGENT_PORT} belongs to Berth's own agent")))
            }
            Ok(port @ 1..) => Ok(Self(port)),
            Ok(0) | Err(_) => Err(Invalid::new("target_port", "target_port is a number from 1 to 65535")),
        }
    }

    /// For rows that were checked when they were written.
    pub fn from_stored(port: u16) -> Self {
        Self(port)
    }

    pub fn get(self) -> u16 {
        self.0
    }
}

impl From<PublicPort> for TargetPort {
    fn from(port: PublicPort) -> Self {
        Self(port.0)
    }
}

/// What the gateway speaks on the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, h2 and WebSocket, told apart by host name.
    #[default]
    Http,
    /// Bytes as they are, where the container has an address of its own.
    Tcp,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
        }
    }
}

impl FromStr for Protocol {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "http" => Ok(Self::Http),
            "tcp" => Ok(Self::Tcp),
            _ => Err(Invalid::new("protocol", "protocol is \"http\" or \"tcp\"")),
        }
    }
}

/// What a rule says, before it has a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRule {
    pub port: PublicPort,
    pub target: TargetPort,
    pub protocol: Protocol,
}

impl NewRule {
    /// # Errors
    /// [`Invalid`] with field `protocol` for raw TCP on 80 or 443: whoever had them on an address that containers of others
    /// have as well would keep all of those from being reached by HTTP.
    pub fn new(port: PublicPort, target: TargetPort, protocol: Protocol) -> Result<Self, Invalid> {
        if protocol == Protocol::Tcp && !PublicPort::MORE.contains(&port.get()) {
            return Err(Invalid::new("protocol", "raw TCP is served on ports 8000 to 8999; 80 and 443 are for HTTP"));
        }
        Ok(Self { port, target, protocol })
    }
}

/// One row of `ingress_rules`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub id: RuleId,
    pub port: PublicPort,
    pub target: TargetPort,
    pub protocol: Protocol,
    pub created_at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_ports() {
        for good in [80, 443, 8000, 8080, 8999] {
            assert_eq!(PublicPort::new(good).map(|port| i64::from(port.get())), Ok(good));
        }
        for bad in [i64::MIN, -80, 0, 1, 22, 79, 81, 442, 444, 7999, 9000, 65_535, 65_616, i64::MAX] {
            assert_eq!(PublicPort::new(bad).unwrap_err().field, "port", "{bad}");
        }
    }

    #[test]
    fn target_ports() {
        for good in [1, 22, 3000, 22_021, 65_535] {
            assert_eq!(TargetPort::new(good).map(|port| i64::from(port.get())), Ok(good));
        }
        for bad in [i64::MIN, -1, 0, i64::from(AGENT_PORT), 65_536, i64::MAX] {
            assert_eq!(TargetPort::new(bad).unwrap_err().field, "target_port", "{bad}");
        }
    }

    #[test]
    fn raw_tcp_leaves_the_ports_of_http_alone() {
        for (port, protocol, good) in [
            (80, Protocol::Http, true),
            (443, Protocol::Http, true),
            (8000, Protocol::Http, true),
            (8000, Protocol::Tcp, true),
            (8999, Protocol::Tcp, true),
            (80, Protocol::Tcp, false),
            (443, Protocol::Tcp, false),
        ] {
            let rule = NewRule::new(PublicPort(port), TargetPort(5432), protocol);
            assert_eq!(rule.is_ok(), good, "{port} {protocol:?}");
            assert!(rule.err().is_none_or(|error| error.field == "protocol"));
        }
    }

    #[test]
    fn protocols() {
        for protocol in [Protocol::Http, Protocol::Tcp] {
            assert_eq!(protocol.as_str().parse(), Ok(protocol));
        }
        for bad in ["", "HTTP", "udp", "http\n"] {
            assert_eq!(bad.parse::<Protocol>().unwrap_err().field, "protocol");
        }
    }
}
