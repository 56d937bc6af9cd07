//! SSH keys of users.

use async_trait::async_trait;
use berth_core::access::{AccountGrant, CreateKey, DeleteKey, ListKeys};
use berth_core::id::KeyId;
use berth_core::key::SshKey;
use berth_core::quota::Quota;

use crate::{IdempotencyKey, NewSshKey, Result};

#[async_trait]
pub trait Keys {
    /// Newest first.
    async fn ssh_keys(&self, grant: &AccountGrant<ListKeys>) -> Result<Vec<SshKey>>;
    /// Inserts a key within `quota`, counted in the same transaction. [`Error::KeyExists`] when the user has it already,
    /// under whatever name. With an idempotency key of before: what that request made.
    ///
    /// [`Error::KeyExists`]: crate::Error::KeyExists
    async fn add_ssh_key(
        &self,
        grant: &AccountGrant<CreateKey>,
        new: &NewSshKey,
        quota: &Quota,
        idempotency: Option<&IdempotencyKey>,
    ) -> Result<SshKey>;
    /// Removes a key, also from the containers that accept it; each gets a new generation. Another's is not found.
    async fn delete_ssh_key(&self, grant: &AccountGrant<DeleteKey>, id: KeyId) -> Result<()>;
}
