//! Plain facts of a container's objects, as far as its timeline tells them.

use chrono::{DateTime, Utc};

use super::notice::Notice;

/// What one pass saw. Parts may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    pub disk: Option<Disk>,
    pub pod: Option<Pod>,
    /// Event objects, in any order.
    pub notices: Vec<Notice>,
}

/// The volume claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub uid: String,
    /// Bound. The cluster does not say since when.
    pub ready: bool,
}

/// The pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    pub uid: String,
    pub scheduled_at: Option<DateTime<Utc>>,
    /// Since when Berth's own container prepares the disk, or did.
    pub seeding_since: Option<DateTime<Utc>>,
    /// How often that failed, and its last words.
    pub seeding_failed: Option<(u32, String)>,
    pub ready_at: Option<DateTime<Utc>>,
    /// The last two runs of the main process, older first.
    pub runs: Vec<Run>,
    /// The node's words.
    pub evicted: Option<String>,
    pub leaving_since: Option<DateTime<Utc>>,
}

/// One run of the main process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The runtime's name of it.
    pub id: String,
    /// How many came before it in this pod.
    pub restarts: u32,
    pub started_at: Option<DateTime<Utc>>,
    pub ended: Option<Ended>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub at: DateTime<Utc>,
    pub how: How,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    Exited {
        code: i32,
    },
    OutOfMemory,
    /// It never ran; the runtime's words.
    NeverStarted {
        message: String,
    },
}
