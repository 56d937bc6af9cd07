//! What administrators see and do.

use async_trait::async_trait;
use berth_core::access::{AccountGrant, Administer};
use berth_core::connection::Connection;
use berth_core::id::UserId;

use crate::{AuditFilter, AuditLine, Person, Result};

#[async_trait]
pub trait People {
    /// Everybody, in the order of their ids.
    async fn users(&self, grant: &AccountGrant<Administer>) -> Result<Vec<Person>>;
    /// Suspends a user: sessions and tokens end and the containers are to stop, in one transaction. Ending it lets the user
    /// log in again; the containers stay stopped. Already so: unchanged. [`Error::NotFound`](crate::Error::NotFound) for an unknown user.
    async fn set_suspended(&self, grant: &AccountGrant<Administer>, user: UserId, suspended: bool) -> Result<Person>;
    /// Appends what gateways report; a connection that is there already stays as it is.
    async fn record_connections(&self, ended: &[Connection]) -> Result<()>;
    /// At most `limit` lines of the audit log, newest first.
    async fn audit_lines(
        &self,
        grant: &AccountGrant<Administer>,
        filter: &AuditFilter,
        limit: u32,
    ) -> Result<Vec<AuditLine>>;
}
