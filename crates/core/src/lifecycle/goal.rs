//! What somebody can wait for, and whether it has come.

use super::desired::Desired;
use super::status::{Phase, Status, words};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Running,
    /// Stopped, with nothing left of the pod.
    Stopped,
    /// Really gone: pod, disk, namespace and row.
    Deleted,
    /// Nothing is under way: running, stopped or failed.
    Settled,
}

words!(Goal: Running = "running", Stopped = "stopped", Deleted = "deleted", Settled = "settled");

/// Whether waiting is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Reached,
    /// It does not come by waiting: somebody has to do something first.
    Hopeless,
    NotYet,
}

/// `container` is what its row says; `None` when there is none. What nobody wants is not waited for: a container that is to be
/// stopped or deleted does not come to run, and one that is being deleted comes to nothing but its end. One that runs, or
/// failed, may still be stopped by somebody, so that is waited for.
pub fn judge(goal: Goal, container: Option<(Desired, &Status)>) -> Verdict {
    let Some((desired, status)) = container else {
        return if goal == Goal::Deleted { Verdict::Reached } else { Verdict::Hopeless };
    };
    let quiet = status.transition.is_none();
    match (goal, desired) {
        (Goal::Deleted, Desired::Running | Desired::Stopped | Desired::Deleted) => Verdict::NotYet,
        (Goal::Running | Goal::Stopped | Goal::Settled, Desired::Deleted) => Verdict::Hopeless,
        (Goal::Running, Desired::Stopped) => Verdict::Hopeless,
        (Goal::Running, Desired::Running) => match status.phase {
            Phase::Running if quiet => Verdict::Reached,
            Phase::Failed => Verdict::Hopeless,
            Phase::Running | Phase::Pending | Phase::Initializing | Phase::Stopped => Verdict::NotYet,
        },
        (Goal::Stopped, Desired::Running | Desired::Stopped) => {
            if quiet && status.phase == Phase::Stopped {
                Verdict::Reached
            } else {
                Verdict::NotYet
            }
        }
        (Goal::Settled, Desired::Running | Desired::Stopped) => match status.phase {
            Phase::Running | Phase::Stopped | Phase::Failed if quiet => Verdict::Reached,
            Phase::Running | Phase::Stopped | Phase::Failed | Phase::Pending | Phase::Initializing => Verdict::NotYet,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::Transition;
    use super::*;

    #[test]
    fn every_goal_of_every_state() {
        use Verdict::{Hopeless, NotYet, Reached};
        let state = |desired, phase, transition| {
            let status = Status { phase, transition, reason: None, message: None };
            move |goal| judge(goal, Some((desired, &status)))
        };
        let (running, stopped, deleted) = (Desired::Running, Desired::Stopped, Desired::Deleted);
        let starting = Some(Transition::Starting);
        // running, stopped, deleted, settled
        for (desired, phase, transition, expected) in [
            (running, Phase::Pending, starting, [NotYet, NotYet, NotYet, NotYet]),
            (running, Phase::Pending, Some(Transition::Restarting), [NotYet, NotYet, NotYet, NotYet]),
            (running, Phase::Initializing, starting, [NotYet, NotYet, NotYet, NotYet]),
            (running, Phase::Running, None, [Reached, NotYet, NotYet, Reached]),
            (running, Phase::Failed, None, [Hopeless, NotYet, NotYet, Reached]),
            (stopped, Phase::Stopped, Some(Transition::Stopping), [Hopeless, NotYet, NotYet, NotYet]),
            (stopped, Phase::Stopped, None, [Hopeless, Reached, NotYet, Reached]),
            (deleted, Phase::Stopped, Some(Transition::Deleting), [Hopeless, Hopeless, NotYet, Hopeless]),
        ] {
            let judged = state(desired, phase, transition);
            let all: Vec<_> = Goal::ALL.iter().map(|goal| judged(*goal)).collect();
            assert_eq!(all, expected, "{desired:?} {phase:?} {transition:?}");
        }
        let absent: Vec<_> = Goal::ALL.iter().map(|goal| judge(*goal, None)).collect();
        assert_eq!(absent, [Hopeless, Hopeless, Reached, Hopeless]);
    }
}
