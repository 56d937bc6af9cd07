//! Users and what proves who they are.

use async_trait::async_trait;
use berth_core::access::{AccountGrant, ManageTokens};
use berth_core::audit::{By, Origin};
use berth_core::id::{TokenId, UserId};
use berth_core::name::Username;
use berth_core::user::User;
use chrono::{DateTime, Utc};

use crate::{ApiToken, Credential, LocalAccount, NewApiToken, OutsideUser, Result, SecretHash, Session};

#[async_trait]
pub trait Accounts {
    /// Adds a local account. [`Error::Conflict`] when the username is taken.
    async fn add_local_user(
        &self,
        username: &Username,
        is_admin: bool,
        password_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<User>;
    /// Replaces a local account's password and ends its sessions. [`Error::NotFound`] when there is no such account.
    async fn set_password(&self, username: &Username, password_hash: &str, now: DateTime<Utc>) -> Result<User>;
    async fn local_account(&self, username: &Username) -> Result<Option<LocalAccount>>;
    async fn user(&self, id: UserId) -> Result<Option<User>>;
    /// The user of an outside subject, made at first sight. [`Error::Suspended`] when an administrator suspended it.
    async fn provision_user(&self, seen: OutsideUser<'_>, origin: &Origin) -> Result<User>;
    /// Number of users, to tell a new installation.
    async fn count_users(&self) -> Result<i64>;

    /// Opens a session after a login. [`Error::Suspended`] when an administrator suspended the user.
    async fn add_session(&self, by: &By, session: &Session) -> Result<()>;
    /// The user and expiry behind a hashed session secret; expired and ended sessions are none.
    async fn session(&self, hash: &SecretHash, now: DateTime<Utc>) -> Result<Option<(User, Session)>>;
    /// Ends a session of the caller; without one, nothing happens.
    async fn end_session(&self, by: &By, hash: &SecretHash) -> Result<()>;

    async fn add_api_token(&self, grant: &AccountGrant<ManageTokens>, token: &NewApiToken) -> Result<ApiToken>;
    /// For tools that run beside the database, where no caller is authenticated (`berthd token`).
    async fn add_operator_token(&self, user: UserId, token: &NewApiToken) -> Result<ApiToken>;
    /// Newest first, revoked ones left out.
    async fn api_tokens(&self, grant: &AccountGrant<ManageTokens>) -> Result<Vec<ApiToken>>;
    /// [`Error::NotFound`] when it is another's, absent or already revoked.
    async fn revoke_api_token(&self, grant: &AccountGrant<ManageTokens>, id: TokenId, now: DateTime<Utc>)
    -> Result<()>;
    /// The user behind a hashed token; `None` when unknown. Expired and revoked tokens are told apart by the caller.
    async fn credential(&self, hash: &SecretHash) -> Result<Option<Credential>>;
}
