//! The public status: one total function of what is wanted and what was seen.

use serde::{Deserialize, Serialize};

use super::desired::Desired;
use super::observed::{Exit, NamespaceState, Observed, PodFacts, PodStage, VolumeState};

/// The five words of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// No pod, or none that a node took.
    Pending,
    /// On a node: pulling, mounting, starting.
    Initializing,
    Running,
    Stopped,
    /// Waiting does not help.
    Failed,
}

/// What is under way, where the status alone does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transition {
    Starting,
    Stopping,
    Restarting,
    Deleting,
}

/// Stable code for why a status is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reason {
    ImagePullFailed,
    CannotStart,
    OutOfMemory,
    CrashLoop,
    Unschedulable,
    QuotaExceeded,
    VolumeFailed,
    Evicted,
    NamespaceTaken,
}

/// Gives an enum of ours the stable words by which it is told and kept.
macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal),* $(,)?) => {
        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::lifecycle::UnknownWord;

            fn from_str(text: &str) -> Result<Self, $crate::lifecycle::UnknownWord> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or($crate::lifecycle::UnknownWord)
            }
        }
    };
}
pub(crate) use words;

words!(Phase: Pending = "pending", Initializing = "initializing", Running = "running", Stopped = "stopped", Failed = "failed");
words!(Transition: Starting = "starting", Stopping = "stopping", Restarting = "restarting", Deleting = "deleting");
words!(Reason:
    ImagePullFailed = "ImagePullFailed", CannotStart = "CannotStart", OutOfMemory = "OutOfMemory", CrashLoop = "CrashLoop",
    Unschedulable = "Unschedulable", QuotaExceeded = "QuotaExceeded", VolumeFailed = "VolumeFailed", Evicted = "Evicted",
    NamespaceTaken = "NamespaceTaken",
);

/// What a user is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub phase: Phase,
    pub transition: Option<Transition>,
    pub reason: Option<Reason>,
    /// One plain sentence; there is one exactly when there is a reason.
    pub message: Option<String>,
}

impl Status {
    fn of(phase: Phase) -> Self {
        Self { phase, transition: None, reason: None, message: None }
    }

    fn during(self, transition: Transition) -> Self {
        Self { transition: Some(transition), ..self }
    }

    fn because(self, reason: Reason, message: impl Into<String>) -> Self {
        Self { reason: Some(reason), message: Some(message.into()), ..self }
    }
}

/// The public status of a container.
pub fn status(desired: Desired, observed: &Observed) -> Status {
    match (desired, &observed.pod) {
        (Desired::Deleted, _) => Status::of(Phase::Stopped).during(Transition::Deleting),
        (Desired::Stopped, None) => Status::of(Phase::Stopped),
        (Desired::Stopped, Some(_)) => Status::of(Phase::Stopped).during(Transition::Stopping),
        (Desired::Running, None) => without_pod(observed),
        (Desired::Running, Some(pod)) if pod.terminating || pod.outdated => {
            Status::of(Phase::Pending).during(Transition::Restarting)
        }
        // It waits for its disk, if that is what cannot be had.
        (Desired::Running, Some(pod)) if pod.stage == PodStage::Unscheduled => without_pod(observed),
        (Desired::Running, Some(pod)) => with_pod(pod),
    }
}

fn without_pod(observed: &Observed) -> Status {
    let pending = Status::of(Phase::Pending).during(Transition::Starting);
    if observed.namespace == NamespaceState::Foreign {
        let message =
            "a namespace of this container's name exists that Berth did not make; an administrator has to remove it";
        return Status::of(Phase::Failed).because(Reason::NamespaceTaken, message);
    }
    if let Some(words) = &observed.refused {
        return pending.because(Reason::QuotaExceeded, format!("the cluster refused to make the container: {words}"));
    }
    match &observed.volume {
        VolumeState::Failed { message } => {
            pending.because(Reason::VolumeFailed, format!("the disk cannot be made: {message}"))
        }
        VolumeState::Absent | VolumeState::Pending | VolumeState::Bound => pending,
    }
}

fn with_pod(pod: &PodFacts) -> Status {
    let starting = |phase| Status::of(phase).during(Transition::Starting);
    let failed = Status::of(Phase::Failed);
    match &pod.stage {
        PodStage::Unscheduled => starting(Phase::Pending),
        PodStage::Unschedulable { message } => {
            starting(Phase::Pending).because(Reason::Unschedulable, format!("no node can take it: {message}"))
        }
        PodStage::Starting => starting(Phase::Initializing),
        PodStage::VolumeFailed { message } => starting(Phase::Initializing)
            .because(Reason::VolumeFailed, format!("the disk cannot be mounted: {message}")),
        PodStage::SeedingFailed { message } => {
            failed.because(Reason::VolumeFailed, format!("its disk could not be prepared: {message}"))
        }
        PodStage::ImagePullFailed { message } => {
            failed.because(Reason::ImagePullFailed, format!("the image cannot be pulled: {message}"))
        }
        PodStage::CannotStart { message } => {
            failed.because(Reason::CannotStart, format!("the container cannot be started: {message}"))
        }
        PodStage::Ready => Status::of(Phase::Running),
        PodStage::BackOff => after_exit(failed, pod),
        PodStage::Ended => after_exit(Status::of(Phase::Initializing).during(Transition::Restarting), pod),
        PodStage::Evicted { message } => Status::of(Phase::Pending)
            .during(Transition::Restarting)
            .because(Reason::Evicted, format!("the node ran short and ended it: {message}")),
    }
}

fn after_exit(status: Status, pod: &PodFacts) -> Status {
    let times = match pod.restarts {
        0 | 1 => String::new(),
        n => format!(", {n} restarts so far"),
    };
    match &pod.last_exit {
        Some(Exit { out_of_memory: true, .. }) => {
            status.because(Reason::OutOfMemory, format!("it used more than its memory and was killed{times}"))
        }
        Some(Exit { code, .. }) => {
            status.because(Reason::CrashLoop, format!("its main process ended with exit code {code}{times}"))
        }
        None => status.because(Reason::CrashLoop, format!("its main process keeps ending{times}")),
    }
}
