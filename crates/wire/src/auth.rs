//! Logging in, and API tokens.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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
pub struct Me {
    pub user_id: i64,
    pub username: String,
    pub is_admin: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
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
pub struct Token {
    pub id: i64,
    pub name: String,
    pub scopes: Option<BTreeMap<String, Vec<String>>>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    pub tokens: Vec<Token>,
}

/// A new token, with its secret: shown this once.
#[derive(Serialize, ToSchema)]
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
