//! What can go wrong with rows.

use std::net::IpAddr;

use berth_core::id::KeyId;
use berth_core::quota::QuotaExceeded;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not found")]
    NotFound,
    /// `field` is the JSON name of what must be unique.
    #[error("{field} is taken")]
    Conflict { field: &'static str },
    #[error("you already have a container of this name")]
    NameTaken,
    /// The drawn id exists: draw another.
    #[error("container id exists")]
    IdTaken,
    #[error("there is no SSH key {0} of yours")]
    UnknownKey(KeyId),
    #[error("you have this SSH key already")]
    KeyExists,
    #[error("this container has a rule for this port already; delete that one first")]
    PortTaken,
    /// Of its address, by another container.
    #[error("port {port} of this container's address {address} is in use; choose another port")]
    AddressPortTaken { address: IpAddr, port: u16 },
    /// Raw TCP has nothing else to tell containers apart by.
    #[error("protocol \"tcp\" needs an address of the container's own, and it has none (external_ip); use \"http\"")]
    NoAddress,
    /// SSH cannot be on for nobody.
    #[error("no SSH key would be accepted: add one with POST /compute/ssh-keys first")]
    NoKeys,
    #[error("this Idempotency-Key was used with another request")]
    IdempotencyMismatch,
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// The row has moved on since it was read.
    #[error("the row has changed since it was read")]
    Stale,
    /// An administrator suspended the user.
    #[error("this account is suspended")]
    Suspended,
    #[error("{0}")]
    Config(String),
    /// The database does not answer or cannot do the work now; trying again may help.
    #[error("the database is not available")]
    Unavailable(#[from] sqlx::Error),
    /// A schema step failed.
    #[error("the database schema cannot be brought up to date")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A row holds what no version of Berth wrote.
    #[error("a row cannot be read: {0}")]
    Corrupt(String),
}

/// A broken uniqueness becomes a conflict over `field`.
pub(crate) fn unique(error: sqlx::Error, field: &'static str) -> Error {
    match error.as_database_error() {
        Some(database) if database.is_unique_violation() => Error::Conflict { field },
        Some(_) | None => Error::Unavailable(error),
    }
}
