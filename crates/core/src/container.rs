//! A container as its row tells it. The row is the truth: everything else is derived from it or observed into it.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{ContainerId, Generation, UserId};
use crate::image::ImageRef;
use crate::lifecycle::{Desired, Observed, Status};
use crate::mount::MountPaths;
use crate::name::{ContainerName, Username};
use crate::names::Names;
use crate::pull_policy::PullPolicy;
use crate::registry::ImageDigest;
use crate::size::{MemoryMb, StorageGb};

/// What a user asked for; immutable parts and those that an update may change alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub name: ContainerName,
    pub image: ImageRef,
    pub pull_policy: PullPolicy,
    pub instance_type: String,
    pub memory: MemoryMb,
    pub storage: StorageGb,
    pub mounts: MountPaths,
    pub ssh_enabled: bool,
}

/// One row of `containers`.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    pub id: ContainerId,
    pub owner: UserId,
    pub owner_username: Username,
    pub spec: Spec,
    pub https_enabled: bool,
    /// The gateway's address that is its own among its owner's containers, where there are such addresses.
    pub external_ip: Option<IpAddr>,
    pub desired: Desired,
    /// Counts intents: every change of what is wanted adds one.
    pub generation: Generation,
    /// Of the last intent that asked for a fresh pod: a start, or changed mounts.
    pub restart_generation: Generation,
    /// What the reconciler last saw.
    pub observed: Observed,
    /// `status(desired, observed)`, written with every change of either.
    pub status: Status,
    /// UID of the namespace that was made for this row; no other namespace is ever touched for it.
    pub namespace_uid: Option<String>,
    pub created_at: DateTime<Utc>,
    pub stopped_at: Option<DateTime<Utc>>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// MiB; `None` when unknown or not running.
    pub memory_used_mb: Option<i32>,
    /// Bytes of the disk in use when it was last asked; `None` before that.
    pub disk_used: Option<i64>,
    /// What its image resolved to when it was created; once a pod ran, what the last one really ran. `None` when unknown.
    pub image_digest: Option<ImageDigest>,
}

impl Container {
    pub fn names(&self) -> Names {
        Names::new(self.owner, self.id)
    }
}
