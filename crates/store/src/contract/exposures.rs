//! How containers can be reached from outside: ingress rules and SSH.

use async_trait::async_trait;
use berth_core::access::{Grant, Read, Update};
use berth_core::id::KeyId;
use berth_core::ingress::{NewRule, PublicPort, Rule};
use berth_core::quota::Quota;
use chrono::{DateTime, Utc};

use crate::{IdempotencyKey, Result, SshAccess};

#[async_trait]
pub trait Exposures {
    /// By port.
    async fn ingress_rules(&self, grant: &Grant<Read>) -> Result<Vec<Rule>>;
    /// Inserts a rule within `quota`, counted over all containers of the owner in the same transaction; 443 sets
    /// `https_enabled` in it. [`Error::PortTaken`] when the container has a rule for the port. With an idempotency key of
    /// before: what that request made.
    ///
    /// Raw TCP has (address, port) for itself: [`Error::NoAddress`] for a container without an address,
    /// [`Error::AddressPortTaken`] when another container at the same address has raw TCP there, or anything where this is.
    ///
    /// [`Error::PortTaken`]: crate::Error::PortTaken
    /// [`Error::NoAddress`]: crate::Error::NoAddress
    /// [`Error::AddressPortTaken`]: crate::Error::AddressPortTaken
    async fn add_ingress_rule(
        &self,
        grant: &Grant<Update>,
        new: &NewRule,
        quota: &Quota,
        idempotency: Option<&IdempotencyKey>,
        now: DateTime<Utc>,
    ) -> Result<Rule>;
    /// Removes the rule of a port; 443 clears `https_enabled` in the same transaction.
    async fn delete_ingress_rule(&self, grant: &Grant<Update>, port: PublicPort) -> Result<()>;

    async fn ssh(&self, grant: &Grant<Read>) -> Result<SshAccess>;
    /// Turns SSH on or off. `keys` replaces the keys that the container accepts. Where it is absent and the container has
    /// none, turning on accepts and records all keys of the owner. [`Error::NoKeys`] when none would be accepted,
    /// [`Error::UnknownKey`] for one that is not the owner's. As it was: no new generation.
    ///
    /// [`Error::NoKeys`]: crate::Error::NoKeys
    /// [`Error::UnknownKey`]: crate::Error::UnknownKey
    async fn set_ssh(&self, grant: &Grant<Update>, enabled: bool, keys: Option<&[KeyId]>) -> Result<SshAccess>;
}
