//! Rows. One [`Store`] trait in domain verbs, implemented on SQLite and on PostgreSQL with the same behaviour, shown by
//! one conformance suite. SQL exists in this crate only.
//!
//! Writes of users demand a [`Grant`]: the rows they touch are filtered by the grant's owner, so a container of somebody
//! else answers [`Error::NotFound`] like one that does not exist. Every write that changes what is wanted or seen posts a
//! [`Hint`]; a hint only wakes its readers, who re-read the row.

mod error;
mod hint;
mod model;
pub mod postgres;
mod rows;
pub mod sqlite;
mod verbs;

use std::sync::Arc;

use async_trait::async_trait;
use berth_core::access::{
    AccountGrant, Administer, CreateContainer, Delete, Grant, ListContainers, ManageTokens, Read, Start, Stop,
};
use berth_core::container::Container;
use berth_core::id::{ContainerId, Generation, TokenId, UserId};
use berth_core::lifecycle::Observed;
use berth_core::name::Username;
use berth_core::quota::{Quota, Usage};
use berth_core::user::User;
use chrono::{DateTime, Utc};

pub use error::Error;
pub use hint::{Hint, Hints};
pub use model::{
    ApiToken, Audit, Created, Credential, IdempotencyKey, LocalAccount, NewApiToken, NewContainer, SecretHash, Session,
};

pub type Result<T> = std::result::Result<T, Error>;

/// Opens the database that `url` names (`sqlite:///path/to/file` or `postgres://…`) and brings its schema up to date.
///
/// # Errors
/// [`Error::Config`] for an unknown scheme, [`Error::Unavailable`] when the database does not answer.
pub async fn open(url: &str) -> Result<Arc<dyn Store>> {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => Ok(Arc::new(sqlite::SqliteStore::open(url).await?)),
        Some("postgres" | "postgresql") => Ok(Arc::new(postgres::PostgresStore::open(url).await?)),
        _ => Err(Error::Config("a database URL starts with sqlite: or postgres:".to_owned())),
    }
}

/// All that is kept. Every function is one transaction.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    // -- users and credentials ---------------------------------------------------------------------------------------

    /// Adds a local account. [`Error::Conflict`] when the username is taken.
    async fn add_local_user(
        &self,
        username: &Username,
        is_admin: bool,
        password_hash: &str,
        now: DateTime<Utc>,
    ) -> Result<User>;
    /// Replaces a local account's password and ends its sessions. [`Error::NotFound`] when there is no such account.
    async fn set_password(&self, username: &Username, password_hash: &str) -> Result<User>;
    async fn local_account(&self, username: &Username) -> Result<Option<LocalAccount>>;
    async fn user(&self, id: UserId) -> Result<Option<User>>;
    /// The user of an outside subject (`jwt:7`, later `oidc:<issuer>#<sub>`), made at first sight. When `id` is given
    /// (a claim names it) a new row takes that id. A username that another subject holds gets a numeric suffix.
    async fn provision_user(
        &self,
        subject: &str,
        id: Option<UserId>,
        username: &Username,
        now: DateTime<Utc>,
    ) -> Result<User>;
    /// Number of users, to tell a new installation.
    async fn count_users(&self) -> Result<i64>;

    async fn add_session(&self, session: &Session) -> Result<()>;
    /// The user and expiry behind a hashed session secret; expired and ended sessions are none.
    async fn session(&self, hash: &SecretHash, now: DateTime<Utc>) -> Result<Option<(User, Session)>>;
    async fn end_session(&self, hash: &SecretHash) -> Result<()>;

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

    // -- containers, as users see them -------------------------------------------------------------------------------

    /// Inserts a container within `quota`, counted in the same transaction.
    ///
    /// With an idempotency key that was used before by this user: the same request gives [`Created::Replayed`], another
    /// body [`Error::IdempotencyMismatch`]. [`Error::Quota`], [`Error::NameTaken`], [`Error::IdTaken`] (draw again) and
    /// [`Error::UnknownKey`] insert nothing.
    async fn create_container(
        &self,
        grant: &AccountGrant<CreateContainer>,
        new: &NewContainer,
        quota: &Quota,
        key: Option<&IdempotencyKey>,
    ) -> Result<Created>;
    /// Newest first; deleted ones left out.
    async fn containers(&self, grant: &AccountGrant<ListContainers>) -> Result<Vec<Container>>;
    async fn container(&self, grant: &Grant<Read>) -> Result<Container>;
    async fn usage(&self, grant: &AccountGrant<ListContainers>) -> Result<Usage>;
    /// Wants it running. Already so: the row, unchanged, no new generation.
    async fn start(&self, grant: &Grant<Start>) -> Result<Container>;
    /// Wants it stopped. Already so: the row, unchanged. Records `stopped_at`.
    async fn stop(&self, grant: &Grant<Stop>, now: DateTime<Utc>) -> Result<Container>;
    /// Wants it gone: it leaves every list at once, the row stays until the cluster is clean. A second time: not found.
    async fn delete(&self, grant: &Grant<Delete>, now: DateTime<Utc>) -> Result<()>;
    /// Everybody's containers, newest first, for administrators.
    async fn all_containers(&self, grant: &AccountGrant<Administer>) -> Result<Vec<Container>>;

    // -- containers, as the reconciler sees them ---------------------------------------------------------------------

    /// Names this installation: its namespaces carry it, and the sweep touches no other's.
    async fn installation(&self) -> Result<String>;
    /// Ids of all rows, deleted ones included, as long as they are there.
    async fn all_ids(&self) -> Result<Vec<ContainerId>>;
    async fn for_reconcile(&self, id: ContainerId) -> Result<Option<Container>>;
    /// Records the namespace that was made for a row, once: [`Error::Stale`] when another is recorded already.
    async fn claim_namespace(&self, id: ContainerId, uid: &str) -> Result<()>;
    /// Forgets the claimed namespace after it was seen gone, so that a new one may be made.
    async fn release_namespace(&self, id: ContainerId, uid: &str) -> Result<()>;
    /// Writes what was seen while `generation` was current, and the status that follows. `false` when the row has moved
    /// on (a stale writer loses) or nothing changed; then nothing is written and no hint posted.
    async fn record_observed(&self, id: ContainerId, generation: Generation, observed: &Observed) -> Result<bool>;
    /// Memory in use, MiB; `None` when unknown. No generation, posts no hint.
    async fn record_memory(&self, usage: &[(ContainerId, Option<i32>)]) -> Result<()>;
    /// Removes the row of a deleted container whose cluster side is gone. [`Error::NotFound`] unless it is deleted.
    async fn remove_row(&self, id: ContainerId) -> Result<()>;

    // -- the rest ----------------------------------------------------------------------------------------------------

    /// Appends to the audit log.
    async fn audit(&self, entry: &Audit) -> Result<()>;
    /// Removes expired sessions and idempotency keys older than 24 hours.
    async fn sweep_expired(&self, now: DateTime<Utc>) -> Result<()>;
    /// Wake-ups from now on. A reader that falls behind, or a lost database connection, yields [`Hint::Resync`].
    fn hints(&self) -> Hints;
    /// One round trip, for readiness.
    async fn ping(&self) -> Result<()>;
}
