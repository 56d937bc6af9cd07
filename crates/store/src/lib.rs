//! Rows. One [`Store`] trait in domain verbs, implemented on SQLite and on PostgreSQL with the same behaviour, shown by
//! one conformance suite. SQL exists in this crate only.
//!
//! Writes of users demand a [`Grant`]: the rows they touch are filtered by the grant's owner, so a container of somebody
//! else answers [`Error::NotFound`] like one that does not exist. Every write that changes what is wanted or seen posts a
//! [`Hint`]; a hint only wakes its readers, who re-read the row.

mod audit;
mod contract;
mod error;
mod hint;
mod model;
pub mod postgres;
mod rows;
pub mod sqlite;
mod verbs;

use std::sync::Arc;

pub use audit::{Audit, AuditFilter, AuditLine};
pub use contract::{Accounts, Containers, Exposures, Keys, People, Reconcile, Settings, Store, Timelines};
pub use error::Error;
pub use hint::{Hint, Hints};
pub use model::{
    ApiToken, Created, Credential, IdempotencyKey, LocalAccount, NewApiToken, NewContainer, NewSshKey, OutsideUser,
    Person, Remounted, Running, SecretHash, Session, SshAccess, Told,
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
