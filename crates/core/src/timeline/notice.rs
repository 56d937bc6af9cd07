//! What the cluster's Event objects mean to a container's owner.

use chrono::{DateTime, Utc};

use super::plain::plain;
use super::{Entry, Kind};

/// One Event object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Of the Event: the cluster counts the same thing again up in it.
    pub uid: String,
    pub subject: Subject,
    pub reason: String,
    pub message: String,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    pub count: u32,
}

/// What it speaks of; with the UID of the claim or the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Disk(String),
    /// The pod, or its image as a volume.
    Pod(String),
    /// The user's container.
    Main(String),
    /// Berth's container of the user's image, which fills the disk.
    Seed(String),
    /// Another container of Berth's.
    Ours(String),
    /// The StatefulSet.
    Workload,
    Other,
}

impl Notice {
    /// `None` when it means nothing to the container's owner, or when the pod itself says it better.
    pub fn entry(&self) -> Option<Entry> {
        use Subject::{Disk, Main, Ours, Pod, Seed, Workload};
        let words = || plain(&self.message);
        match (self.reason.as_str(), &self.subject) {
            ("ProvisioningSucceeded", Disk(uid)) => Some(Entry::once(Kind::Volume, self.last_at, uid, VOLUME)),
            ("ProvisioningFailed" | "FailedBinding", Disk(_)) => {
                self.counted(Kind::VolumeFailed, format!("the disk cannot be made yet: {}", words()))
            }
            ("FailedCreate", Workload) if settles(&self.message) => None,
            ("FailedCreate", Workload) => {
                self.counted(Kind::Refused, format!("the cluster refused to make the container: {}", words()))
            }
            // Every new pod waits a moment for its disk.
            ("FailedScheduling", Pod(_)) if self.message.contains("unbound immediate PersistentVolumeClaims") => None,
            ("FailedScheduling", Pod(_)) => {
                self.counted(Kind::Unschedulable, format!("no node can take it now: {}", placing(&words())))
            }
            ("Scheduled", Pod(uid)) => Some(Entry::once(Kind::Scheduled, self.first_at, uid, SCHEDULED)),
            ("FailedMount" | "FailedAttachVolume" | "FailedMapVolume", Pod(_)) => {
                self.counted(Kind::MountFailed, format!("the disk cannot be mounted yet: {}", words()))
            }
            ("Pulling", Pod(uid) | Main(uid) | Seed(uid)) => {
                Some(Entry::once(Kind::Pulling, self.first_at, uid, "the image is being pulled"))
            }
            ("Pulled", Pod(uid) | Main(uid) | Seed(uid)) => {
                Some(Entry::once(Kind::Pulled, self.first_at, uid, pulled(&self.message)))
            }
            // The others of this reason only name the state that the runtime gave it.
            ("Failed", Pod(_) | Main(_) | Seed(_)) if self.message.starts_with("Failed to pull") => {
                let words = words();
                let why = words.split_once("\": ").map_or(words.as_str(), |(_, why)| why);
                self.counted(Kind::PullFailed, format!("the image cannot be pulled; it is tried again: {why}"))
            }
            ("InspectFailed" | "ErrImageNeverPull", Pod(_) | Main(_) | Seed(_)) => {
                self.counted(Kind::PullFailed, format!("the image cannot be used: {}", words()))
            }
            ("Failed", Main(_)) if self.message.starts_with("Error: ") && !names_a_pull(&self.message) => {
                let words = words();
                let words = words.strip_prefix("Error: ").unwrap_or(&words);
                self.counted(Kind::CannotStart, format!("the container cannot be started: {words}"))
            }
            ("FailedCreatePodSandBox", Pod(_)) => {
                let message = "the network of the container could not be set up; it is tried again";
                self.counted(Kind::CannotStart, message.to_owned())
            }
            ("BackOff", Main(_)) if self.message.starts_with("Back-off restarting") => {
                let message = "it ends again and again; the next start waits a while";
                self.counted(Kind::BackOff, message.to_owned())
            }
            ("NodeNotReady", Pod(_)) => self.counted(Kind::NodeLost, "its node does not answer".to_owned()),
            ("TaintManagerEviction", Pod(uid)) if self.message.starts_with("Marking") => {
                let message = "its node is not available any more; it is ended there";
                Some(Entry::once(Kind::Evicted, self.first_at, uid, message))
            }
            ("Evicted", Pod(uid)) => Some(Entry::once(Kind::Evicted, self.first_at, uid, evicted(&self.message))),
            ("Preempted", Pod(uid)) => {
                let message = "its node needed the place for something more important";
                Some(Entry::once(Kind::Evicted, self.first_at, uid, message))
            }
            ("Killing", Main(uid)) if self.message.starts_with("Stopping container") => {
                Some(Entry::once(Kind::Stopping, self.first_at, uid, STOPPING))
            }
            (_, Disk(_) | Pod(_) | Main(_) | Seed(_) | Ours(_) | Workload | Subject::Other) => None,
        }
    }

    /// One entry for each Event object, counted as it is.
    fn counted(&self, kind: Kind, message: String) -> Option<Entry> {
        Some(Entry { count: self.count.max(1), ..Entry::once(kind, self.last_at, &self.uid, message) })
    }
}

pub(super) const VOLUME: &str = "the disk is there";
pub(super) const SCHEDULED: &str = "a node was found for it";
pub(super) const STOPPING: &str = "the container is being stopped";

pub(super) fn evicted(words: &str) -> String {
    format!("the node ended it to save itself: {}", plain(words))
}

/// A quota that was just made counts for a fraction of a second.
fn settles(message: &str) -> bool {
    message.contains("status unknown for quota") || message.contains("not found")
}

fn names_a_pull(message: &str) -> bool {
    message.contains("ImagePull") || message.contains("ErrImage")
}

/// `… in 1.2s (1.2s including waiting). Image size: 80221484 bytes.`
fn pulled(message: &str) -> String {
    if message.contains("already present") {
        return "the image was on the node already".to_owned();
    }
    match message.rsplit_once("\" in ").and_then(|(_, rest)| rest.split(' ').next()) {
        Some(took) => format!("the image was pulled in {}", took.trim_end_matches('.')),
        None => "the image was pulled".to_owned(),
    }
}

/// What the scheduler says of one pod, without what it thinks of evicting others.
fn placing(words: &str) -> &str {
    let end = ["no new claims", "preemption:"].iter().filter_map(|word| words.find(word)).min();
    words[..end.unwrap_or(words.len())].trim_end()
}
