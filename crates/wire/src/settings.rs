//! Settings of a container that can change during its life.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "mount_paths": ["/root", "/var/data"] }))]
pub struct Mounts {
    /// 1–16 absolute, normalised paths, none inside another, none over the system's own folders.
    #[schema(example = json!(["/root", "/var/data"]))]
    pub mount_paths: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "mount_paths": ["/root", "/var/data"], "restarted": true }))]
pub struct MountsSet {
    #[schema(example = json!(["/root", "/var/data"]))]
    pub mount_paths: Vec<String>,
    /// The container ran and is being restarted with the new list.
    pub restarted: bool,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "pull_policy": "Always" }))]
pub struct PullPolicy {
    /// `Always` or `IfNotPresent`.
    #[schema(example = "Always")]
    pub pull_policy: String,
}
