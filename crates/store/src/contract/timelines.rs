//! What happened to containers.

use async_trait::async_trait;
use berth_core::access::{Grant, Read};
use berth_core::container::Container;
use berth_core::id::ContainerId;
use berth_core::timeline::Entry;

use crate::{Result, Told};

#[async_trait]
pub trait Timelines {
    /// Adds what is not there yet, and takes over what was counted up since. `false` when nothing was new; then nothing is
    /// written and no hint posted. Only the newest [`KEPT`](berth_core::timeline::KEPT) entries stay. No row: nothing happens.
    async fn record_entries(&self, id: ContainerId, entries: &[Entry]) -> Result<bool>;
    /// At most `limit` entries with a higher id than `after`, by their ids. [`Error::NotFound`](crate::Error::NotFound) for a
    /// container that is not the grant's owner's, or was deleted.
    async fn timeline(&self, grant: &Grant<Read>, after: i64, limit: u32) -> Result<Vec<Told>>;
    /// Everything that is new or changed since this revision, in that order.
    async fn timeline_changes(&self, grant: &Grant<Read>, since: i64) -> Result<Vec<Told>>;
    /// The row as long as there is one, a deleted container's included; somebody else's is none.
    async fn remains(&self, grant: &Grant<Read>) -> Result<Option<Container>>;
}
