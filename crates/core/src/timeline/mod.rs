//! What happened to a container, in plain words. [`entries`] is a total function of what was seen of its objects: seen again,
//! in part, or in another order, it gives the same entries under the same keys, so that whoever keeps them can repeat it.
//!
//! Only what means something to the container's owner is told. What this module does not know is left out, and the
//! cluster's own words go through [`plain`] first.

mod notice;
mod plain;
mod seen;
mod tell;

use chrono::{DateTime, Utc};

use crate::container::Container;
use crate::lifecycle::{Desired, Observed, words};

pub use notice::{Notice, Subject};
pub use plain::plain;
pub use seen::{Disk, Ended, How, Pod, Run, Seen};
pub use tell::entries;

/// How many entries are kept of one container: the newest.
pub const KEPT: i64 = 500;

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// When it happened; of one that repeats: the last time.
    pub at: DateTime<Utc>,
    /// One plain sentence, at most [`MAX_MESSAGE`] bytes and no line breaks.
    pub message: String,
    /// Names what it tells of: the same thing has the same key, in every pass and after every restart of berthd.
    pub key: String,
    /// How often it happened.
    pub count: u32,
}

pub const MAX_MESSAGE: usize = 400;

/// What happened. The order is the one in which a container comes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Somebody created it.
    Created,
    /// Somebody asked for it to run.
    StartRequested,
    /// Somebody asked for it to stop.
    StopRequested,
    /// Its mount paths changed while it ran.
    RestartRequested,
    /// The cluster refused to make it.
    Refused,
    VolumeFailed,
    /// The disk is there.
    Volume,
    Unschedulable,
    Scheduled,
    MountFailed,
    Pulling,
    PullFailed,
    Pulled,
    /// The disk is being prepared: folders that are new are filled from the image.
    Seeding,
    SeedingFailed,
    CannotStart,
    Started,
    Ready,
    /// The main process ended.
    Exited,
    OutOfMemory,
    /// It ends again and again; the next try waits.
    BackOff,
    /// Its node does not answer.
    NodeLost,
    Evicted,
    /// The pod is going.
    Stopping,
    Stopped,
}

words!(Kind:
    Created = "created", StartRequested = "start_requested", StopRequested = "stop_requested",
    RestartRequested = "restart_requested", Refused = "refused", VolumeFailed = "volume_failed", Volume = "volume",
    Unschedulable = "unschedulable", Scheduled = "scheduled", MountFailed = "mount_failed", Pulling = "pulling", PullFailed = "pull_failed", Pulled = "pulled", Seeding = "seeding", SeedingFailed = "seeding_failed",
    CannotStart = "cannot_start", Started = "started", Ready = "ready", Exited = "exited", OutOfMemory = "oom",
    BackOff = "back_off", NodeLost = "node_lost", Evicted = "evicted", Stopping = "stopping", Stopped = "stopped",
);

impl Entry {
    /// Once. `of` is what the key names beside the kind.
    pub(crate) fn once(kind: Kind, at: DateTime<Utc>, of: &str, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let message = message[..message.floor_char_boundary(MAX_MESSAGE)].to_owned();
        Self { kind, at, message, key: format!("{}/{of}", kind.as_str()), count: 1 }
    }

    /// Of a row that is being made.
    pub fn created(container: &Container) -> Self {
        let message = format!("the container was created from the image {}", container.spec.image);
        Self::once(Kind::Created, container.created_at, "row", message)
    }

    /// Somebody's new intent, which made `container`'s generation; `None` where its owner could not read it.
    pub fn requested(container: &Container, at: DateTime<Utc>) -> Option<Self> {
        let (kind, message) = match container.desired {
            Desired::Running => (Kind::StartRequested, "a start was requested"),
            Desired::Stopped => (Kind::StopRequested, "a stop was requested"),
            Desired::Deleted => return None,
        };
        Some(Self::once(kind, at, &container.generation.to_string(), message))
    }

    /// Changed mount paths, which made `container`'s generation.
    pub fn remounted(container: &Container, at: DateTime<Utc>) -> Self {
        let message = "the mount paths changed; the container restarts with the new ones";
        Self::once(Kind::RestartRequested, at, &container.generation.to_string(), message)
    }

    /// The pod of a container that is to be stopped was there in the last pass and is not in this one. A pass that is repeated
    /// gives the same key: it names the request.
    pub fn stopped(container: &Container, observed: &Observed, now: DateTime<Utc>) -> Option<Self> {
        let gone = container.observed.pod.is_some() && observed.pod.is_none();
        let asked = container.stopped_at.filter(|_| gone && container.desired == Desired::Stopped)?;
        let of = asked.timestamp_micros().to_string();
        Some(Self::once(Kind::Stopped, now, &of, "the container is stopped; its disk is kept"))
    }
}

#[cfg(test)]
mod tests;
