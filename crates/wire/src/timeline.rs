//! What happened to a container, and what came of waiting for it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Container;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "id": 4, "at": "2026-01-15T10:30:02Z", "type": "pulled", "message": "the image was pulled in 1.25s", "count": 1 }))]
pub struct Event {
    /// Counts the events of one container, in the order in which Berth learned of them.
    pub id: i64,
    /// When it happened; of one that repeats: the last time.
    pub at: DateTime<Utc>,
    /// `created`, `start_requested`, `stop_requested`, `restart_requested`, `volume`, `volume_failed`, `refused`, `scheduled`,
    /// `unschedulable`, `mount_failed`, `pulling`, `pulled`, `pull_failed`, `seeding`, `seeding_failed`, `cannot_start`, `started`,
    /// `ready`, `exited`, `oom`, `back_off`, `node_lost`, `evicted`, `stopping` or `stopped`. There may be more one day.
    #[serde(rename = "type")]
    #[schema(example = "pulled")]
    pub kind: String,
    /// The same in a sentence.
    pub message: String,
    /// How often it happened.
    pub count: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "events": [
    { "id": 4, "at": "2026-01-15T10:30:02Z", "type": "pulled", "message": "the image was pulled in 1.25s", "count": 1 },
    { "id": 5, "at": "2026-01-15T10:30:02Z", "type": "seeding", "message": "the disk is being prepared", "count": 1 }] }))]
pub struct Events {
    /// The newest last.
    pub events: Vec<Event>,
}

/// What came of waiting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "reached": false, "for": "running", "status": "failed", "transition": null, "reason": "ImagePullFailed",
    "message": "the image cannot be pulled: not found", "container": null
}))]
pub struct Waited {
    /// False when the time was up, and when waiting does not help.
    pub reached: bool,
    /// What was waited for: `running`, `stopped`, `deleted` or `settled`.
    #[serde(rename = "for")]
    #[schema(example = "running")]
    pub goal: String,
    /// As the container's; null when there is none.
    pub status: Option<String>,
    pub transition: Option<String>,
    /// Stable code for why the status is what it is.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub message: Option<String>,
    /// As it is now; null when it is gone, or was deleted and is going.
    pub container: Option<Container>,
}
