//! What a pod says of its tenant's container: which run of it there is, and which was before.

use berth_core::names::MAIN;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// The runs of one container whose logs the node still has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MainContainer {
    /// The latest one that was started; it may have ended.
    pub(super) current: Option<Run>,
    /// The runtime's id of the one before.
    pub(super) previous: Option<String>,
    /// The pod is on its way out.
    pub(super) terminating: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) running: bool,
}

impl MainContainer {
    pub(super) fn of(pod: &Pod) -> Self {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let main = statuses.into_iter().find(|status| status.name == MAIN);
        let terminating = pod.metadata.deletion_timestamp.is_some();
        main.map_or(Self { terminating, ..Self::default() }, |main| Self { terminating, ..Self::runs(main) })
    }

    fn runs(main: &ContainerStatus) -> Self {
        let last = main.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.container_id.clone());
        let state = main.state.as_ref();
        let id = || main.container_id.clone().filter(|id| !id.is_empty());
        if state.is_some_and(|state| state.running.is_some()) {
            let current = id().map(|id| Run { id, running: true });
            return Self { current, previous: last, terminating: false };
        }
        if let Some(ended) = state.and_then(|state| state.terminated.as_ref()) {
            let current = ended.container_id.clone().or_else(id).map(|id| Run { id, running: false });
            return Self { current, previous: last, terminating: false };
        }
        // Waits for its next start: the node answers with the log of the last run.
        Self { current: last.map(|id| Run { id, running: false }), previous: None, terminating: false }
    }

    pub(super) fn is_running(&self) -> bool {
        !self.terminating && self.current.as_ref().is_some_and(|run| run.running)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn main(state: &Value, last: &Value) -> MainContainer {
        let status = json!({ "containerStatuses": [{
            "name": MAIN, "image": "", "imageID": "", "ready": true, "restartCount": 1,
            "containerID": "containerd://now", "state": state, "lastState": last,
        }]});
        let pod = json!({ "metadata": {}, "spec": { "containers": [] }, "status": status });
        MainContainer::of(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn the_runs_of_a_container() {
        let ended = |id| json!({ "terminated": { "exitCode": 1, "containerID": id } });
        let run = |id: &str, running| Some(Run { id: id.to_owned(), running });
        let of = |current, previous: Option<&str>| MainContainer {
            current,
            previous: previous.map(str::to_owned),
            terminating: false,
        };
        let running = json!({ "running": {} });
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        assert_eq!(main(&running, &json!({})), of(run("containerd://now", true), None));
        assert_eq!(main(&running, &ended("b")), of(run("containerd://now", true), Some("b")));
        assert_eq!(main(&ended("a"), &ended("b")), of(run("a", false), Some("b")));
        assert_eq!(main(&waiting, &ended("b")), of(run("b", false), None));
        assert_eq!(main(&waiting, &json!({})), of(None, None));
    }
}
