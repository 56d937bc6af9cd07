//! What gateways report of connections that ended.

use std::net::IpAddr;

use berth_core::Invalid;
use berth_core::connection::{self, Spoken};
use berth_core::id::UserId;
use berth_core::name::Username;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// At most as many as fit into a body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "connections": [{ "id": "9f86d081884c7d659f86d081884c7d65", "protocol": "ssh", "container_id": "7f3c9k52", "user_id": 7, "username": "ann", "key": "SHA256:8p1Z…", "from": "203.0.113.7", "started_at": "2026-01-15T10:30:00Z", "duration_ms": 81250, "bytes_in": 4711, "bytes_out": 1048576 }] }))]
pub struct Connections {
    pub connections: Vec<Connection>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "id": "9f86d081884c7d659f86d081884c7d65", "protocol": "ssh", "container_id": "7f3c9k52", "user_id": 7, "username": "ann", "key": "SHA256:8p1Z…", "from": "203.0.113.7", "started_at": "2026-01-15T10:30:00Z", "duration_ms": 81250, "bytes_in": 4711, "bytes_out": 1048576 }))]
pub struct Connection {
    /// 32 hex digits; what is reported twice is kept once.
    pub id: String,
    /// `ssh`, `http`, `https` or `tcp`.
    #[schema(value_type = String)]
    pub protocol: Spoken,
    pub container_id: String,
    /// Who logged in by SSH; null for visitors of a port.
    pub user_id: Option<i64>,
    pub username: Option<String>,
    /// Fingerprint of the key that logged in.
    pub key: Option<String>,
    #[schema(value_type = String)]
    pub from: IpAddr,
    pub started_at: DateTime<Utc>,
    pub duration_ms: i64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl From<connection::Connection> for Connection {
    fn from(ended: connection::Connection) -> Self {
        let (user_id, username) = ended.user.map(|(id, name)| (id.0, name.to_string())).unzip();
        Self {
            id: ended.id.to_string(),
            protocol: ended.spoken,
            container_id: ended.container.to_string(),
            user_id,
            username,
            key: ended.key,
            from: ended.from,
            started_at: ended.started,
            duration_ms: ended.lasted.num_milliseconds(),
            bytes_in: ended.bytes_in,
            bytes_out: ended.bytes_out,
        }
    }
}

impl TryFrom<Connection> for connection::Connection {
    type Error = Invalid;

    fn try_from(wire: Connection) -> Result<Self, Invalid> {
        let username = wire.username.as_deref().map(Username::parse).transpose()?;
        let lasted = TimeDelta::try_milliseconds(wire.duration_ms).filter(|lasted| *lasted >= TimeDelta::zero());
        if wire.key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
            return Err(Invalid::new("key", "a key is given by its fingerprint"));
        }
        Ok(Self {
            id: wire.id.parse()?,
            spoken: wire.protocol,
            container: wire.container_id.parse()?,
            user: wire.user_id.map(UserId).zip(username),
            key: wire.key,
            from: wire.from,
            started: wire.started_at,
            lasted: lasted.ok_or_else(|| Invalid::new("duration_ms", "a duration is not negative"))?,
            bytes_in: wire.bytes_in,
            bytes_out: wire.bytes_out,
        })
    }
}

/// `SHA256:` and 43 characters.
const MAX_KEY: usize = 64;
