//! Users and the audit log, as administrators see them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "id": 7, "username": "ann", "source": "oidc", "is_admin": false, "created_at": "2026-01-15T10:30:00Z", "suspended_at": null, "containers": 2 }))]
pub struct AdminUser {
    pub id: i64,
    pub username: String,
    /// Who vouches for the user: `local`, `jwt` or `oidc`.
    pub source: String,
    pub is_admin: bool,
    pub created_at: DateTime<Utc>,
    /// Null: not suspended.
    pub suspended_at: Option<DateTime<Utc>>,
    /// How many containers the user has.
    pub containers: i64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "users": [{ "id": 7, "username": "ann", "source": "oidc", "is_admin": false, "created_at": "2026-01-15T10:30:00Z", "suspended_at": null, "containers": 2 }] }))]
pub struct AdminUsers {
    pub users: Vec<AdminUser>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "suspended": true }))]
pub struct Suspension {
    pub suspended: bool,
}

/// A line of the audit log.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "id": 81, "at": "2026-01-15T10:30:00Z", "user_id": 7, "username": "ann", "action": "container.stop", "target": "7f3c9k52", "from": "203.0.113.7", "outcome": "ok", "request_id": "9f86d081884c7d65", "detail": null }))]
pub struct AuditEntry {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// Null where nobody is known: a failed login, an operator's command.
    pub user_id: Option<i64>,
    /// The user's name, or the one that was claimed.
    pub username: Option<String>,
    #[schema(example = "container.stop")]
    pub action: String,
    /// What it was done to: an id, or the path of a call that was denied.
    pub target: Option<String>,
    /// The caller's address.
    pub from: Option<String>,
    /// `ok` or `denied`.
    pub outcome: String,
    pub request_id: Option<String>,
    /// Of a connection: `key`, `duration_ms`, `bytes_in`, `bytes_out`. Null for everything else.
    #[schema(value_type = Option<Object>)]
    pub detail: Option<serde_json::Value>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "entries": [{ "id": 81, "at": "2026-01-15T10:30:00Z", "user_id": 7, "username": "ann", "action": "container.stop", "target": "7f3c9k52", "from": "203.0.113.7", "outcome": "ok", "request_id": "9f86d081884c7d65", "detail": null }], "next_cursor": null }))]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// Give it as `cursor` for the lines before these; null at the end.
    pub next_cursor: Option<String>,
}
