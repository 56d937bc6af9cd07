//! Containers, as their owners see them.

use async_trait::async_trait;
use berth_core::access::{AccountGrant, Administer, CreateContainer, Delete, Grant, ListContainers, Read, Start, Stop};
use berth_core::address::Addresses;
use berth_core::container::Container;
use berth_core::quota::{Quota, Usage};
use chrono::{DateTime, Utc};

use crate::{Created, IdempotencyKey, NewContainer, Result};

#[async_trait]
pub trait Containers {
    /// Inserts a container within `quota`, counted in the same transaction, with one of `addresses` that its owner's other
    /// containers do not have, while there is one.
    ///
    /// With an idempotency key that was used before by this user: the same request gives [`Created::Replayed`], another
    /// body [`Error::IdempotencyMismatch`]. [`Error::Quota`], [`Error::NameTaken`], [`Error::IdTaken`] (draw again) and
    /// [`Error::UnknownKey`] insert nothing.
    async fn create_container(
        &self,
        grant: &AccountGrant<CreateContainer>,
        new: &NewContainer,
        quota: &Quota,
        addresses: &Addresses,
        key: Option<&IdempotencyKey>,
    ) -> Result<Created>;
    /// What [`create_container`](Self::create_container) would replay for this key; `None`: it would insert.
    async fn replayed(&self, grant: &AccountGrant<CreateContainer>, key: &IdempotencyKey) -> Result<Option<Container>>;
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
}
