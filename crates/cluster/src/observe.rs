//! Reads one container's objects and reduces them to what decisions need.

use berth_core::container::Container;
use berth_core::id::Generation;
use berth_core::lifecycle::{Desired, Exit, NamespaceState, Observed, PodFacts, PodStage, VolumeState, Workload};
use berth_core::names::{
    ANNOTATION_APPLIED, ANNOTATION_RESTART, LABEL_CONTAINER, LABEL_INSTALLATION, MAIN, NETWORK_POLICY, POD,
    RESOURCE_QUOTA, VOLUME_CLAIM, WORKLOAD,
};
use berth_core::registry::ImageDigest;
use berth_core::timeline::Seen;
use berth_route::Route;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Namespace, PersistentVolumeClaim, Pod, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::apply::is_quota_settling;
use crate::{Result, seen};

/// Decisions need the first, the timeline the second.
pub(crate) async fn container(client: &Client, row: &Container, installation: &str) -> Result<(Observed, Seen)> {
    let name = row.names().namespace();
    let found = Api::<Namespace>::all(client.clone()).get_opt(&name).await?;
    let namespace = namespace_state(row, found.as_ref(), installation);
    match namespace {
        NamespaceState::Absent | NamespaceState::Foreign => {
            return Ok((Observed { namespace, ..Observed::default() }, Seen::default()));
        }
        NamespaceState::Active { .. } | NamespaceState::Terminating { .. } => {}
    }
    let (sets, pods) =
        (Api::<StatefulSet>::namespaced(client.clone(), &name), Api::<Pod>::namespaced(client.clone(), &name));
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &name);
    let policies = Api::<NetworkPolicy>::namespaced(client.clone(), &name);
    let quotas = Api::<ResourceQuota>::namespaced(client.clone(), &name);
    let routes = Api::<Route>::namespaced(client.clone(), &name);
    // Events of what is under way are read along, so that nobody waits for them; of what has settled, not at all.
    let under_way = row.desired != Desired::Deleted && row.status.transition.is_some();
    let early = async { if under_way { events(client, &name).await.map(Some) } else { Ok(None) } };
    let (set, pod, claim, policy, quota, route, early) = tokio::try_join!(
        sets.get_opt(WORKLOAD),
        pods.get_opt(POD),
        claims.get_opt(VOLUME_CLAIM),
        policies.get_opt(NETWORK_POLICY),
        quotas.get_opt(RESOURCE_QUOTA),
        routes.get_metadata_opt(row.id.as_str()),
        early,
    )?;
    let route = route.map(|route| applied(&route.metadata).unwrap_or_default());
    let complete = claim.is_some() && policy.is_some() && quota.is_some();
    let mut observed = Observed {
        namespace,
        workload: set.as_ref().map(|set| workload(set, complete && route == applied(&set.metadata))),
        volume: volume(claim.as_ref()),
        pod: pod.as_ref().map(|pod| PodFacts { outdated: is_outdated(pod, row), ..pod_facts(pod) }),
        route,
        refused: None,
    };
    let waits = observed.workload.as_ref().is_some_and(|workload| workload.replicas > 0)
        && observed
            .pod
            .as_ref()
            .is_none_or(|pod| pod.stage == PodStage::Starting || pod.stage == PodStage::Unscheduled);
    let events = match early {
        Some(events) => events,
        None if waits => events(client, &name).await?,
        None => Vec::new(),
    };
    if waits {
        let warnings: Vec<_> = events.iter().filter(|event| event.type_.as_deref() == Some("Warning")).collect();
        explain(&mut observed, &warnings);
    }
    Ok((observed, seen::of(pod.as_ref(), claim.as_ref(), &events)))
}

async fn events(client: &Client, namespace: &str) -> kube::Result<Vec<Event>> {
    Ok(Api::<Event>::namespaced(client.clone(), namespace).list(&ListParams::default()).await?.items)
}

pub(crate) fn namespace_state(row: &Container, found: Option<&Namespace>, installation: &str) -> NamespaceState {
    let Some(namespace) = found else { return NamespaceState::Absent };
    let uid = namespace.metadata.uid.clone().unwrap_or_default();
    let label = |key| namespace.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let labelled = label(LABEL_CONTAINER) == Some(row.id.as_str()) && label(LABEL_INSTALLATION) == Some(installation);
    let recorded = row.namespace_uid.as_ref().is_none_or(|recorded| *recorded == uid);
    match (labelled && recorded, &namespace.metadata.deletion_timestamp) {
        (false, _) => NamespaceState::Foreign,
        (true, Some(_)) => NamespaceState::Terminating { uid },
        (true, None) => NamespaceState::Active { uid },
    }
}

fn workload(set: &StatefulSet, complete: bool) -> Workload {
    Workload {
        replicas: set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default(),
        applied: applied(&set.metadata).filter(|_| set.metadata.deletion_timestamp.is_none()),
        complete,
        noted: set.status.as_ref().and_then(|status| status.observed_generation) == set.metadata.generation,
    }
}

fn applied(metadata: &ObjectMeta) -> Option<String> {
    metadata.annotations.as_ref()?.get(ANNOTATION_APPLIED).cloned()
}

/// Whether the pod was made for an older restart than the row's; one of before there were any counts as the first.
pub(crate) fn is_outdated(pod: &Pod, row: &Container) -> bool {
    let annotation = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION_RESTART));
    let generation = annotation.and_then(|text| text.parse().ok()).unwrap_or(Generation::FIRST);
    generation != row.restart_generation
}

fn volume(claim: Option<&PersistentVolumeClaim>) -> VolumeState {
    let phase =
        claim.map(|claim| claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending"));
    match phase {
        None => VolumeState::Absent,
        Some("Bound") => VolumeState::Bound,
        Some("Lost") => VolumeState::Failed { message: "its volume is lost".to_owned() },
        Some(_) => VolumeState::Pending,
    }
}

pub(crate) fn pod_facts(pod: &Pod) -> PodFacts {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let main = statuses.into_iter().find(|status| status.name == MAIN);
    let ended = main.and_then(|main| {
        let states = [main.state.as_ref(), main.last_state.as_ref()];
        states.into_iter().flatten().find_map(|state| state.terminated.as_ref())
    });
    PodFacts {
        stage: stage(pod, main),
        outdated: false,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        restarts: main.map_or(0, |main| main.restart_count),
        last_exit: ended
            .map(|ended| Exit { code: ended.exit_code, out_of_memory: ended.reason.as_deref() == Some("OOMKilled") }),
        image_digest: main.and_then(|main| ImageDigest::of_reference(&main.image_id)),
    }
}

fn stage(pod: &Pod, main: Option<&ContainerStatus>) -> PodStage {
    let status = pod.status.as_ref();
    let message = || status.and_then(|status| status.message.clone()).unwrap_or_default();
    if status.and_then(|status| status.reason.as_deref()) == Some("Evicted") {
        return PodStage::Evicted { message: message() };
    }
    if pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).is_none() {
        let conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        let refused = conditions.into_iter().find(|condition| condition.reason.as_deref() == Some("Unschedulable"));
        let words = refused.map(|condition| condition.message.clone().unwrap_or_default());
        return match words {
            // The disk is being made, which every new pod waits for a moment; when it cannot be made, the claim says so.
            Some(message) if message.contains("unbound immediate PersistentVolumeClaims") => PodStage::Unscheduled,
            Some(message) => PodStage::Unschedulable { message },
            None => PodStage::Unscheduled,
        };
    }
    let Some(main) = main else {
        return if status.and_then(|status| status.phase.as_deref()) == Some("Failed") {
            PodStage::Ended
        } else {
            PodStage::Starting
        };
    };
    let state = main.state.as_ref();
    let starting = || before_main(pod).unwrap_or(PodStage::Starting);
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let message = waiting.message.clone().unwrap_or_default();
        return match waiting.reason.as_deref() {
            Some("CrashLoopBackOff") => PodStage::BackOff,
            reason => cannot_run(reason, message).unwrap_or_else(starting),
        };
    }
    match state.and_then(|state| state.terminated.as_ref()) {
        Some(_) => PodStage::Ended,
        None if main.ready => PodStage::Ready,
        None => PodStage::Starting,
    }
}

/// Why a container that waits will not run, as far as its reason tells.
fn cannot_run(reason: Option<&str>, message: String) -> Option<PodStage> {
    match reason? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            Some(PodStage::ImagePullFailed { message: plain(&message) })
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(PodStage::CannotStart { message })
        }
        _waits => None,
    }
}

/// The runtime's words without what it and the kubelet put around them. They are the same whether the kubelet tries now or
/// waits to try again: a status that went to and fro between two sentences would tell nothing new.
fn plain(message: &str) -> String {
    let waits = message.strip_prefix("Back-off pulling image ").and_then(|rest| rest.split_once("ErrImagePull: "));
    let words = waits.map_or(message, |(_, words)| words);
    let wrapped = words.strip_prefix("rpc error: code = ").and_then(|rest| rest.split_once(" desc = "));
    wrapped.map_or(words, |(_, words)| words).to_owned()
}

/// What holds a pod up before its main container is made. The agent writes why it failed where Kubernetes finds it; one that
/// runs has finished its hook, because the status of a pod does not change while a hook is under way.
pub(crate) fn before_main(pod: &Pod) -> Option<PodStage> {
    let statuses = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    statuses.into_iter().find_map(|status| {
        let state = status.state.as_ref();
        if state.is_some_and(|state| state.running.is_some()) {
            return None;
        }
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let stuck = waiting
            .and_then(|waiting| cannot_run(waiting.reason.as_deref(), waiting.message.clone().unwrap_or_default()));
        let ended = [state, status.last_state.as_ref()];
        let mut ended = ended.into_iter().flatten().filter_map(|state| state.terminated.as_ref());
        let message = ended.find_map(|ended| ended.message.clone()).filter(|message| !message.is_empty());
        stuck.or(message.map(|message| PodStage::SeedingFailed { message }))
    })
}

/// What objects do not say of themselves stands in their events.
fn explain(observed: &mut Observed, warnings: &[&Event]) {
    let last = |reasons: &[&str]| {
        let of = |event: &&&Event| event.reason.as_deref().is_some_and(|reason| reasons.contains(&reason));
        warnings.iter().filter(of).filter_map(|event| event.message.clone()).next_back()
    };
    if let (VolumeState::Pending, Some(message)) = (&observed.volume, last(&["ProvisioningFailed"])) {
        observed.volume = VolumeState::Failed { message };
    }
    if let Some(pod) = &mut observed.pod {
        if let (PodStage::Starting, Some(message)) = (&pod.stage, last(&["FailedMount", "FailedAttachVolume"])) {
            pod.stage = PodStage::VolumeFailed { message };
        }
        return;
    }
    observed.refused =
        last(&["FailedCreate"]).filter(|message| !is_quota_settling(message) && !message.contains("not found"));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stage_of(spec: &Value, status: &Value) -> PodStage {
        let pod = json!({ "metadata": { "name": POD }, "spec": spec, "status": status });
        pod_facts(&serde_json::from_value(pod).unwrap()).stage
    }

    fn waiting(reason: &str) -> Value {
        json!({ "phase": "Pending", "containerStatuses": [{
            "name": MAIN, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": "words" } },
        }]})
    }

    #[test]
    fn every_stage_of_a_pod() {
        let node = json!({ "containers": [], "nodeName": "n" });
        let none = json!({ "containers": [] });
        let words = || "words".to_owned();
        assert_eq!(stage_of(&none, &json!({ "phase": "Pending" })), PodStage::Unscheduled);
        let refused = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "words" }] });
        assert_eq!(stage_of(&none, &refused), PodStage::Unschedulable { message: words() });
        let mut waits = refused.clone();
        waits["conditions"][0]["message"] =
            json!("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.");
        assert_eq!(stage_of(&none, &waits), PodStage::Unscheduled);
        assert_eq!(stage_of(&node, &json!({ "phase": "Pending" })), PodStage::Starting);
        assert_eq!(stage_of(&node, &waiting("ContainerCreating")), PodStage::Starting);
        assert_eq!(stage_of(&node, &waiting("ImagePullBackOff")), PodStage::ImagePullFailed { message: words() });
        assert_eq!(stage_of(&node, &waiting("CreateContainerError")), PodStage::CannotStart { message: words() });
        assert_eq!(stage_of(&node, &waiting("CrashLoopBackOff")), PodStage::BackOff);
        let init = |agent: &Value| {
            let agent = agent.as_object().unwrap().clone();
            let mut status = waiting("PodInitializing");
            let named = json!({ "name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": 1 });
            status["initContainerStatuses"] = json!([named]);
            status["initContainerStatuses"][0].as_object_mut().unwrap().extend(agent);
            stage_of(&node, &status)
        };
        let ended = json!({ "terminated": { "exitCode": 0, "message": "words" } });
        let back_off = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } });
        assert_eq!(init(&json!({ "state": { "waiting": { "reason": "PodInitializing" } } })), PodStage::Starting);
        let pull = json!({ "state": { "waiting": { "reason": "ErrImagePull", "message": "words" } } });
        assert_eq!(init(&pull), PodStage::ImagePullFailed { message: words() });
        assert_eq!(init(&json!({ "state": ended })), PodStage::SeedingFailed { message: words() });
        let waits = json!({ "state": back_off, "lastState": ended });
        assert_eq!(init(&waits), PodStage::SeedingFailed { message: words() });
        let again = json!({ "state": { "running": {} }, "lastState": ended });
        assert_eq!(init(&again), PodStage::Starting, "the next try went well");
        assert_eq!(init(&json!({ "state": { "terminated": { "exitCode": 0 } } })), PodStage::Starting);
        let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "words" });
        assert_eq!(stage_of(&node, &evicted), PodStage::Evicted { message: words() });
    }

    #[test]
    fn a_failed_pull_is_told_in_plain_words() {
        for (message, expected) in [
            ("failed to resolve image: not found", "failed to resolve image: not found"),
            ("rpc error: code = NotFound desc = failed: not found", "failed: not found"),
            (
                "Back-off pulling image \"a/b:1\": ErrImagePull: rpc error: code = NotFound desc = failed: desc = x",
                "failed: desc = x",
            ),
            ("Back-off pulling image \"a/b:1\": ErrImagePull: failed: 401 Unauthorized", "failed: 401 Unauthorized"),
            ("Back-off pulling image \"a/b:1\"", "Back-off pulling image \"a/b:1\""),
            ("rpc error: code = Unknown", "rpc error: code = Unknown"),
            ("", ""),
        ] {
            assert_eq!(plain(message), expected);
        }
    }

    #[test]
    fn a_kill_for_memory_is_seen() {
        let status = json!({ "containerStatuses": [{
            "name": MAIN, "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } },
        }]});
        let pod = json!({ "metadata": {}, "spec": { "containers": [], "nodeName": "n" }, "status": status });
        let facts = pod_facts(&serde_json::from_value(pod).unwrap());
        assert_eq!(facts.last_exit, Some(Exit { code: 137, out_of_memory: true }));
        assert_eq!(facts.restarts, 3);
        assert_eq!(facts.image_digest, None);
    }

    #[test]
    fn what_a_pod_really_runs_is_seen() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let status = json!({ "containerStatuses": [{
            "name": MAIN, "image": "registry.example/a:1", "imageID": format!("registry.example/a@{digest}"),
            "ready": true, "restartCount": 0, "state": { "running": {} },
        }]});
        let pod = json!({ "metadata": {}, "spec": { "containers": [], "nodeName": "n" }, "status": status });
        let facts = pod_facts(&serde_json::from_value(pod).unwrap());
        assert_eq!(facts.image_digest.map(|digest| digest.to_string()), Some(digest));
    }
}
