//! What rows can do, in domain verbs. Every function is one transaction.

mod accounts;
mod containers;
mod exposures;
mod keys;
mod people;
mod reconcile;
mod settings;
mod timelines;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use accounts::Accounts;
pub use containers::Containers;
pub use exposures::Exposures;
pub use keys::Keys;
pub use people::People;
pub use reconcile::Reconcile;
pub use settings::Settings;
pub use timelines::Timelines;

use crate::{Audit, Hints, Result};

/// All that is kept.
#[async_trait]
pub trait Store:
    Accounts
    + Containers
    + Exposures
    + Keys
    + People
    + Reconcile
    + Settings
    + Timelines
    + Send
    + Sync
    + std::fmt::Debug
    + 'static
{
    /// Appends to the audit log what changed nothing: somebody was refused, or looked into a container. Changes write their own line, in their transaction.
    async fn audit(&self, entry: &Audit) -> Result<()>;
    /// Removes expired sessions and idempotency keys older than 24 hours.
    async fn sweep_expired(&self, now: DateTime<Utc>) -> Result<()>;
    /// Wake-ups from now on. A reader that falls behind, or a lost database connection, yields [`Hint::Resync`].
    fn hints(&self) -> Hints;
    /// One round trip, for readiness.
    async fn ping(&self) -> Result<()>;
}
