//! How a container can be reached: ingress rules and SSH.

use berth_core::ingress::Rule as Row;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "id": 1, "port": 8080, "target_port": 3000, "protocol": "http", "created_at": 1768473000 }))]
pub struct IngressRule {
    pub id: i64,
    #[schema(example = 8080)]
    pub port: u16,
    #[schema(example = 3000)]
    pub target_port: u16,
    /// `http` or `tcp`.
    pub protocol: String,
    /// Unix seconds.
    pub created_at: i64,
}

impl From<Row> for IngressRule {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.0,
            port: row.port.get(),
            target_port: row.target.get(),
            protocol: row.protocol.as_str().to_owned(),
            created_at: row.created_at.timestamp(),
        }
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "rules": [{ "id": 1, "port": 8080, "target_port": 3000, "protocol": "http", "created_at": 1768473000 }] }))]
pub struct IngressRules {
    pub rules: Vec<IngressRule>,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "port": 8080, "target_port": 3000 }))]
pub struct CreateIngressRule {
    /// 80, 443 or 8000–8999.
    #[schema(example = 8080)]
    pub port: i64,
    /// 1–65535; absent: the same as `port`.
    #[serde(default)]
    pub target_port: Option<i64>,
    /// `http` (absent: this) or `tcp`.
    #[serde(default)]
    pub protocol: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "ssh_enabled": true, "ssh_key_ids": [4] }))]
pub struct SshStatus {
    pub ssh_enabled: bool,
    /// Your keys that the container accepts.
    pub ssh_key_ids: Vec<i64>,
}

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "ssh_enabled": true }))]
pub struct SetSsh {
    pub ssh_enabled: bool,
    /// Replaces the keys that the container accepts; absent: they stay, and where there is none, all of yours are accepted.
    #[serde(default)]
    pub ssh_key_ids: Option<Vec<i64>>,
}
