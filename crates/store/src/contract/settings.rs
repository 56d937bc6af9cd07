//! Settings of a container that can change during its life.

use async_trait::async_trait;
use berth_core::access::{Grant, Update};
use berth_core::container::Container;
use berth_core::mount::MountPaths;
use berth_core::pull_policy::PullPolicy;

use crate::{Remounted, Result};

#[async_trait]
pub trait Settings {
    /// Wants these mount paths. A changed list asks for a fresh pod; the same one, in whatever order, changes nothing.
    async fn set_mounts(&self, grant: &Grant<Update>, mounts: &MountPaths) -> Result<Remounted>;
    /// Wants this policy from the next start on. It asks for no fresh pod.
    async fn set_pull_policy(&self, grant: &Grant<Update>, policy: PullPolicy) -> Result<Container>;
}
