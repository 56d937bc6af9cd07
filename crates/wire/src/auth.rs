//! Logging in, and API tokens.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "username": "ann", "password": "correct horse battery staple" }))]
pub struct Login {
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A session; the token goes into `Authorization: Bearer`, browsers get the same as a cookie.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "token": "berth_s_9f86d081884c7d65…", "expires_at": "2026-01-16T10:30:00Z", "user": { "user_id": 7, "username": "ann", "is_admin": false } }))]
pub struct LoggedIn {
    pub token: String,
    pub expires_at: DateTime<Utc>,
    pub user: Me,
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedIn").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The ways to log in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "password": true, "oidc": { "issuer": "https://login.example.com", "login_url": "/auth/oidc/login" } }))]
pub struct LoginMethods {
    /// `POST /auth/login` with a local account.
    pub password: bool,
    /// Null: no issuer is configured.
    pub oidc: Option<OidcMethod>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct OidcMethod {
    #[schema(example = "https://login.example.com")]
    pub issuer: String,
    /// Where to send a browser; `?return_to=` names the path it comes back to.
    #[schema(example = "/auth/oidc/login")]
    pub login_url: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "user_id": 7, "username": "ann", "is_admin": false }))]
pub struct Me {
    pub user_id: i64,
    pub username: String,
    pub is_admin: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "ci", "scopes": { "compute.7.containers": ["read", "create"] } }))]
pub struct NewToken {
    /// 1–63 printable characters.
    pub name: String,
    /// Resource → verbs, such as `{"compute.7.containers": ["read"]}`; absent: everything you may do.
    #[serde(default)]
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    /// Absent: it does not expire.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "id": 3, "name": "ci", "scopes": { "compute.7.containers": ["read", "create"] }, "created_at": "2026-01-15T10:30:00Z", "expires_at": null }))]
pub struct Token {
    pub id: i64,
    pub name: String,
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "tokens": [{ "id": 3, "name": "ci", "scopes": { "compute.7.containers": ["read", "create"] }, "created_at": "2026-01-15T10:30:00Z", "expires_at": null }] }))]
pub struct Tokens {
    pub tokens: Vec<Token>,
}

/// A new token, with its secret: shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "secret": "berth_t_9f86d081884c7d65…", "id": 3, "name": "ci", "scopes": { "compute.7.containers": ["read", "create"] }, "created_at": "2026-01-15T10:30:00Z", "expires_at": null }))]
pub struct TokenCreated {
    pub secret: String,
    #[serde(flatten)]
    pub token: Token,
}

impl fmt::Debug for TokenCreated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCreated").field("token", &self.token).finish_non_exhaustive()
    }
}
