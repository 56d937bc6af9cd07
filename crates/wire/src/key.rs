//! SSH keys.

use berth_core::key::SshKey as Row;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "id": 4, "name": "laptop", "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFA2DlUTusvuiKnEQp2vH/V0outWHOMf2RvcFWs7dyBC", "fingerprint": "SHA256:vymujbyaTD3KEY1dibFH4uMamaMmlcM9XO2rJuabifw", "created_at": "2026-01-15T10:30:00Z", "last_used_at": null }))]
pub struct SshKey {
    pub id: i64,
    pub name: String,
    /// One line: type, base64, comment.
    #[schema(example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFA2DlUTusvuiKnEQp2vH/V0outWHOMf2RvcFWs7dyBC ann@laptop")]
    pub public_key: String,
    /// As `ssh-keygen -lf` prints it.
    #[schema(example = "SHA256:vymujbyaTD3KEY1dibFH4uMamaMmlcM9XO2rJuabifw")]
    pub fingerprint: String,
    pub created_at: DateTime<Utc>,
    /// Null until a login with it.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<Row> for SshKey {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            public_key: row.key.line().to_owned(),
            fingerprint: row.key.fingerprint().to_owned(),
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        }
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "ssh_keys": [{ "id": 4, "name": "laptop", "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFA2DlUTusvuiKnEQp2vH/V0outWHOMf2RvcFWs7dyBC", "fingerprint": "SHA256:vymujbyaTD3KEY1dibFH4uMamaMmlcM9XO2rJuabifw", "created_at": "2026-01-15T10:30:00Z", "last_used_at": null }] }))]
pub struct SshKeys {
    pub ssh_keys: Vec<SshKey>,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "laptop", "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFA2DlUTusvuiKnEQp2vH/V0outWHOMf2RvcFWs7dyBC ann@laptop" }))]
pub struct CreateSshKey {
    /// 1–63 printable characters.
    pub name: String,
    /// The one line of a `.pub` file: ed25519, ecdsa-sha2-nistp256/384/521, rsa of at least 3072 bits, or an sk- variant.
    pub public_key: String,
}
