//! What the reconciler saw of one container's objects, reduced to what decisions need. Stored with the row as JSON, so a
//! status is explained after the objects are gone; a field added later needs a serde default.

use serde::{Deserialize, Serialize};

use crate::registry::ImageDigest;

/// Everything seen in one pass.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    pub namespace: NamespaceState,
    pub workload: Option<Workload>,
    pub volume: VolumeState,
    pub pod: Option<PodFacts>,
    /// Hash on the route, if there is one: the gateway serves the container as of then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The cluster's own words when it refused one of our objects (a quota, an admission plug-in).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamespaceState {
    #[default]
    Absent,
    Active {
        uid: String,
    },
    Terminating {
        uid: String,
    },
    /// There is a namespace of our name that is not ours: no label, or another UID. It is never touched.
    Foreign,
}

/// The StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    pub replicas: i32,
    /// Hash of the objects that were applied with it, from its annotation.
    pub applied: Option<String>,
    /// The policy, and everything else that was applied with it, is still there; the route is as new as the workload.
    pub complete: bool,
    /// The cluster has taken note of the latest template: a pod that it makes now is made from it.
    #[serde(default)]
    pub noted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeState {
    #[default]
    Absent,
    Pending,
    Bound,
    /// The volume cannot be made or is lost; the words are the cluster's.
    Failed {
        message: String,
    },
}

/// The pod, if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodFacts {
    pub stage: PodStage,
    /// A deletion is under way.
    pub terminating: bool,
    pub restarts: i32,
    /// It was made before the last intent that asks for a fresh pod, and is to be replaced.
    #[serde(default)]
    pub outdated: bool,
    /// How the main container last ended, if it did.
    pub last_exit: Option<Exit>,
    /// Of the image that the main container runs; `None` before it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<ImageDigest>,
}

/// How far the pod has come. Exactly one is true of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PodStage {
    /// Waiting for the scheduler, which has not said no.
    Unscheduled,
    /// The scheduler said why it cannot place the pod.
    Unschedulable { message: String },
    /// On a node: pulling, mounting, starting.
    Starting,
    /// The image cannot be had; the words are the runtime's.
    ImagePullFailed { message: String },
    /// The container cannot be made from its image and settings (no such command, bad user, …).
    CannotStart { message: String },
    /// A volume cannot be mounted.
    VolumeFailed { message: String },
    /// The agent cannot fill the disk from the image; the words are its own.
    SeedingFailed { message: String },
    /// The main container runs and is ready.
    Ready,
    /// The main container ended and waits to be started again.
    BackOff,
    /// The main container ended just now.
    Ended,
    /// The node ended the pod to save itself.
    Evicted { message: String },
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub code: i32,
    pub out_of_memory: bool,
}
