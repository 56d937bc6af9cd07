//! What to do next, given what is wanted and what was seen.

use super::desired::Desired;
use super::observed::{NamespaceState, Observed};

/// The next step of the reconciler. Every step is safe to repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Apply all objects with one replica.
    Run,
    /// Apply all objects with no replica; the disk stays.
    Stop,
    /// Delete the pod, so that one of the latest template takes its place. Nothing else replaces a running pod: a change of
    /// the template alone waits for the next start.
    Restart,
    Remove(RemoveStep),
    /// Nothing to do until something changes.
    Settled,
}

/// Deleting, in order: the route, so that nobody is led there any more; the pod, while its network policy still stands; the
/// namespace; the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveStep {
    /// Delete the route.
    Route,
    /// Delete the StatefulSet and its pod.
    Workload,
    /// Delete the namespace and with it everything inside, the disk included.
    Namespace,
    /// Something that was deleted is not gone yet.
    Await,
    /// Nothing is left in the cluster: the row may go.
    Row,
}

/// `wanted` is the hash of the objects as they should be now; the workload carries the hash of those that were applied.
pub fn decide(desired: Desired, observed: &Observed, wanted: &str) -> Plan {
    let up_to_date = |replicas| {
        observed.workload.as_ref().is_some_and(|workload| {
            workload.complete && workload.replicas == replicas && workload.applied.as_deref() == Some(wanted)
        })
    };
    match (desired, &observed.namespace) {
        (Desired::Deleted, NamespaceState::Absent | NamespaceState::Foreign) => Plan::Remove(RemoveStep::Row),
        (Desired::Deleted, NamespaceState::Terminating { .. }) => Plan::Remove(RemoveStep::Await),
        (Desired::Deleted, NamespaceState::Active { .. }) => Plan::Remove(remove_step(observed)),
        // Ours is going away (somebody deleted it): when it is gone, it is made again. A foreign one is never touched.
        (Desired::Running | Desired::Stopped, NamespaceState::Terminating { .. } | NamespaceState::Foreign) => {
            Plan::Settled
        }
        // A container that is stopped before anything was made needs nothing until it is started.
        (Desired::Stopped, NamespaceState::Absent) => Plan::Settled,
        (Desired::Stopped, NamespaceState::Active { .. }) if observed.workload.is_none() && observed.pod.is_none() => {
            Plan::Settled
        }
        (Desired::Stopped, NamespaceState::Active { .. }) if up_to_date(0) => Plan::Settled,
        (Desired::Stopped, NamespaceState::Active { .. }) => Plan::Stop,
        (Desired::Running, NamespaceState::Active { .. }) if up_to_date(1) => {
            if to_replace(observed) {
                Plan::Restart
            } else {
                Plan::Settled
            }
        }
        (Desired::Running, NamespaceState::Absent | NamespaceState::Active { .. }) => Plan::Run,
    }
}

/// Not before the cluster has noted the new template: until then it would make the same pod again.
fn to_replace(observed: &Observed) -> bool {
    let noted = observed.workload.as_ref().is_some_and(|workload| workload.noted);
    noted && observed.pod.as_ref().is_some_and(|pod| pod.outdated && !pod.terminating)
}

fn remove_step(observed: &Observed) -> RemoveStep {
    if observed.route.is_some() {
        return RemoveStep::Route;
    }
    match (&observed.workload, &observed.pod) {
        (Some(_), _) => RemoveStep::Workload,
        (None, Some(pod)) if pod.terminating => RemoveStep::Await,
        (None, Some(_)) => RemoveStep::Workload,
        (None, None) => RemoveStep::Namespace,
    }
}
