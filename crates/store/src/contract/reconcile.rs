//! Containers, as the reconciler sees them.

use async_trait::async_trait;
use berth_core::address::Addresses;
use berth_core::container::Container;
use berth_core::exposure::Exposure;
use berth_core::id::{ContainerId, Generation};
use berth_core::isolation::Isolation;
use berth_core::lifecycle::Observed;
use chrono::{DateTime, Utc};

use crate::{Result, Running};

#[async_trait]
pub trait Reconcile {
    /// Names this installation: its namespaces carry it, and the sweep touches no other's.
    async fn installation(&self) -> Result<String>;
    /// Ids of all rows, deleted ones included, as long as they are there.
    async fn all_ids(&self) -> Result<Vec<ContainerId>>;
    async fn for_reconcile(&self, id: ContainerId) -> Result<Option<Container>>;
    /// How it can be reached: at least as new as a row that was read before. Empty when there is no such row.
    async fn exposure(&self, id: ContainerId) -> Result<Exposure>;
    /// Records the namespace that was made for a row, once: [`Error::Stale`] when another is recorded already.
    async fn claim_namespace(&self, id: ContainerId, uid: &str) -> Result<()>;
    /// Forgets the claimed namespace after it was seen gone, so that a new one may be made.
    async fn release_namespace(&self, id: ContainerId, uid: &str) -> Result<()>;
    /// Writes what was seen while `generation` was current, and the status that follows. `false` when the row has moved
    /// on (a stale writer loses) or nothing changed; then nothing is written and no hint posted.
    async fn record_observed(&self, id: ContainerId, generation: Generation, observed: &Observed) -> Result<bool>;
    /// Memory in use, MiB; `None` when unknown. No generation, posts no hint.
    async fn record_memory(&self, usage: &[(ContainerId, Option<i32>)]) -> Result<()>;
    /// Those whose status is `running`.
    async fn running(&self) -> Result<Vec<Running>>;
    /// Bytes of their disks in use. No generation, posts no hint; stays when the container stops.
    async fn record_disk(&self, usage: &[(ContainerId, i64)]) -> Result<()>;
    /// Removes the row of a deleted container whose cluster side is gone. [`Error::NotFound`] unless it is deleted.
    async fn remove_row(&self, id: ContainerId) -> Result<()>;
    /// After other addresses were configured: containers whose address is not among them, or who have none, get one that is,
    /// where their rules can be served; others none. How many changed.
    async fn settle_addresses(&self, addresses: &Addresses) -> Result<usize>;
    /// What a canary last showed of the cluster of this UID; `None` when none ran to its end.
    async fn isolation(&self, cluster: &str) -> Result<Option<Isolation>>;
    async fn record_isolation(&self, cluster: &str, shown: Isolation, now: DateTime<Utc>) -> Result<()>;
}
