//! Tables of `status` and `decide` over every state, and a model cluster in which following the plans must end.

use super::*;

const UID: &str = "uid";
const WANTED: &str = "wanted";

/// One of each stage. The match has no wildcard: a new stage does not compile before it stands in the list.
fn stages() -> Vec<PodStage> {
    let message = || "words".to_owned();
    let stages = vec![
        PodStage::Unscheduled,
        PodStage::Unschedulable { message: message() },
        PodStage::Starting,
        PodStage::ImagePullFailed { message: message() },
        PodStage::CannotStart { message: message() },
        PodStage::VolumeFailed { message: message() },
        PodStage::SeedingFailed { message: message() },
        PodStage::Ready,
        PodStage::BackOff,
        PodStage::Ended,
        PodStage::Evicted { message: message() },
    ];
    let known = stages.iter().filter(|stage| match stage {
        PodStage::Unscheduled
        | PodStage::Unschedulable { .. }
        | PodStage::Starting
        | PodStage::ImagePullFailed { .. }
        | PodStage::CannotStart { .. }
        | PodStage::VolumeFailed { .. }
        | PodStage::SeedingFailed { .. }
        | PodStage::Ready
        | PodStage::BackOff
        | PodStage::Ended
        | PodStage::Evicted { .. } => true,
    });
    assert_eq!(known.count(), 11);
    stages
}

fn pod(stage: PodStage) -> PodFacts {
    PodFacts { stage, terminating: false, restarts: 0, outdated: false, last_exit: None, image_digest: None }
}

fn active() -> NamespaceState {
    NamespaceState::Active { uid: UID.to_owned() }
}

/// Every combination of what one pass can see.
fn everything() -> Vec<Observed> {
    let uid = || UID.to_owned();
    let namespaces =
        [NamespaceState::Absent, active(), NamespaceState::Terminating { uid: uid() }, NamespaceState::Foreign];
    let volumes = [
        VolumeState::Absent,
        VolumeState::Pending,
        VolumeState::Bound,
        VolumeState::Failed { message: "words".to_owned() },
    ];
    let mut workloads = vec![None];
    for replicas in [0, 1] {
        for applied in [None, Some("old".to_owned()), Some(WANTED.to_owned())] {
            for (complete, noted) in [(false, true), (true, false), (true, true)] {
                workloads.push(Some(Workload { replicas, applied: applied.clone(), complete, noted }));
            }
        }
    }
    let mut pods = vec![None];
    let exits = [None, Some(Exit { code: 1, out_of_memory: false }), Some(Exit { code: 137, out_of_memory: true })];
    for stage in stages() {
        for terminating in [false, true] {
            for last_exit in exits.clone() {
                pods.push(Some(PodFacts {
                    stage: stage.clone(),
                    terminating,
                    restarts: 3,
                    outdated: false,
                    image_digest: None,
                    last_exit,
                }));
            }
            pods.push(Some(PodFacts { outdated: true, terminating, ..pod(stage.clone()) }));
        }
    }
    let mut all = Vec::new();
    for namespace in &namespaces {
        for workload in &workloads {
            for volume in &volumes {
                for pod in &pods {
                    let words = || Some("words".to_owned());
                    for (route, refused) in [(None, None), (None, words()), (words(), None), (words(), words())] {
                        all.push(Observed {
                            namespace: namespace.clone(),
                            workload: workload.clone(),
                            volume: volume.clone(),
                            pod: pod.clone(),
                            route,
                            refused,
                        });
                    }
                }
            }
        }
    }
    all
}

fn words(status: &Status) -> String {
    let transition = status.transition.map_or("-", Transition::as_str);
    format!("{} {transition} {}", status.phase.as_str(), status.reason.map_or("-", Reason::as_str))
}

#[test]
fn a_running_container_shows_its_pod() {
    let expected = [
        "pending starting -",
        "pending starting Unschedulable",
        "initializing starting -",
        "failed - ImagePullFailed",
        "failed - CannotStart",
        "initializing starting VolumeFailed",
        "failed - VolumeFailed",
        "running - -",
        "failed - CrashLoop",
        "initializing restarting CrashLoop",
        "pending restarting Evicted",
    ];
    let stages = stages();
    assert_eq!(stages.len(), expected.len());
    for (stage, expected) in stages.into_iter().zip(expected) {
        let mut observed = Observed { namespace: active(), pod: Some(pod(stage.clone())), ..Observed::default() };
        assert_eq!(words(&status(Desired::Running, &observed)), expected, "{stage:?}");
        assert_eq!(words(&status(Desired::Stopped, &observed)), "stopped stopping -", "{stage:?}");
        assert_eq!(words(&status(Desired::Deleted, &observed)), "stopped deleting -", "{stage:?}");
        for (terminating, outdated) in [(true, false), (false, true), (true, true)] {
            observed.pod = observed.pod.map(|pod| PodFacts { terminating, outdated, ..pod });
            assert_eq!(words(&status(Desired::Running, &observed)), "pending restarting -", "{stage:?}");
        }
    }
}

#[test]
fn a_pod_that_waits_for_its_disk_shows_what_is_wrong_with_the_disk() {
    let volume = VolumeState::Failed { message: "full".to_owned() };
    let waits = pod(PodStage::Unscheduled);
    let observed = Observed { namespace: active(), volume, pod: Some(waits), ..Observed::default() };
    assert_eq!(words(&status(Desired::Running, &observed)), "pending starting VolumeFailed");
}

#[test]
fn without_a_pod_the_reason_is_what_holds_it_up() {
    let none = Observed::default;
    let table = [
        (none(), "pending starting -"),
        (Observed { namespace: active(), ..none() }, "pending starting -"),
        (Observed { namespace: NamespaceState::Terminating { uid: UID.to_owned() }, ..none() }, "pending starting -"),
        (Observed { namespace: NamespaceState::Foreign, ..none() }, "failed - NamespaceTaken"),
        (Observed { volume: VolumeState::Pending, ..none() }, "pending starting -"),
        (Observed { volume: VolumeState::Bound, ..none() }, "pending starting -"),
        (
            Observed { volume: VolumeState::Failed { message: "full".to_owned() }, ..none() },
            "pending starting VolumeFailed",
        ),
        (Observed { refused: Some("exceeded quota".to_owned()), ..none() }, "pending starting QuotaExceeded"),
    ];
    for (observed, expected) in table {
        assert_eq!(words(&status(Desired::Running, &observed)), expected, "{observed:?}");
        assert_eq!(words(&status(Desired::Stopped, &observed)), "stopped - -", "{observed:?}");
        assert_eq!(words(&status(Desired::Deleted, &observed)), "stopped deleting -", "{observed:?}");
    }
}

#[test]
fn an_end_says_how() {
    let ended = |stage, code, out_of_memory| {
        let exit = Some(Exit { code, out_of_memory });
        let pod =
            PodFacts { stage, terminating: false, restarts: 4, outdated: false, last_exit: exit, image_digest: None };
        status(Desired::Running, &Observed { namespace: active(), pod: Some(pod), ..Observed::default() })
    };
    let crashed = ended(PodStage::BackOff, 3, false);
    assert_eq!(words(&crashed), "failed - CrashLoop");
    let message = crashed.message.unwrap();
    assert!(message.contains("exit code 3") && message.contains("4 restarts"), "{message}");
    assert_eq!(words(&ended(PodStage::BackOff, 137, true)), "failed - OutOfMemory");
    assert_eq!(words(&ended(PodStage::Ended, 137, true)), "initializing restarting OutOfMemory");
}

#[test]
fn the_clusters_own_words_reach_the_user() {
    for stage in stages() {
        let speaks = format!("{stage:?}").contains("words");
        let observed = Observed { namespace: active(), pod: Some(pod(stage)), ..Observed::default() };
        let message = status(Desired::Running, &observed).message.unwrap_or_default();
        assert_eq!(message.contains("words"), speaks, "{observed:?}");
    }
}

#[test]
fn every_pair_has_a_consistent_status() {
    for observed in everything() {
        for desired in Desired::ALL {
            let status = status(desired, &observed);
            assert_eq!(status.reason.is_some(), status.message.is_some(), "{desired:?} {observed:?}");
            match desired {
                Desired::Running => assert_ne!(status.phase, Phase::Stopped, "{observed:?}"),
                Desired::Stopped | Desired::Deleted => assert_eq!(status.phase, Phase::Stopped, "{observed:?}"),
            }
            let fresh = observed.pod.as_ref().filter(|pod| !pod.terminating && !pod.outdated);
            let ready = fresh.is_some_and(|pod| pod.stage == PodStage::Ready);
            assert_eq!(status.phase == Phase::Running, desired == Desired::Running && ready, "{observed:?}");
        }
    }
}

#[test]
fn a_plan_fits_what_is_wanted_and_touches_nothing_foreign() {
    for observed in everything() {
        for desired in Desired::ALL {
            let plan = decide(desired, &observed, WANTED);
            let fits = match plan {
                Plan::Run | Plan::Restart => desired == Desired::Running,
                Plan::Stop => desired == Desired::Stopped,
                Plan::Remove(_) => desired == Desired::Deleted,
                Plan::Settled => desired != Desired::Deleted,
            };
            assert!(fits, "{plan:?} for {desired:?} {observed:?}");
            if observed.namespace == NamespaceState::Foreign {
                assert!(matches!(plan, Plan::Settled | Plan::Remove(RemoveStep::Row)), "{plan:?} {observed:?}");
            }
            if plan == Plan::Remove(RemoveStep::Namespace) {
                // The policy goes with the namespace: nothing may run by then.
                assert!(observed.pod.is_none() && observed.workload.is_none(), "{observed:?}");
            }
            if matches!(plan, Plan::Remove(RemoveStep::Workload | RemoveStep::Namespace)) {
                assert!(observed.route.is_none(), "nobody is led to what is going: {observed:?}");
            }
            let outdated = observed.pod.as_ref().is_some_and(|pod| pod.outdated && !pod.terminating);
            if plan == Plan::Restart {
                // Only the latest template may take its place.
                let workload = observed.workload.as_ref().unwrap();
                assert!(outdated && workload.noted && workload.applied.as_deref() == Some(WANTED), "{observed:?}");
            }
            if plan == Plan::Remove(RemoveStep::Row) {
                assert!(matches!(observed.namespace, NamespaceState::Absent | NamespaceState::Foreign));
            }
            // With a policy gone or a hash that is old, a container that should run is never left alone.
            let stale =
                observed.workload.as_ref().is_some_and(|set| !set.complete || set.applied.as_deref() != Some(WANTED));
            if desired == Desired::Running && observed.namespace == active() && stale {
                assert_eq!(plan, Plan::Run, "{observed:?}");
            }
        }
    }
}

/// What the cluster makes of a plan by the next pass. `None`: the row is gone.
fn carried_out(plan: Plan, mut seen: Observed) -> Option<Observed> {
    let applied =
        |replicas| Some(Workload { replicas, applied: Some(WANTED.to_owned()), complete: true, noted: false });
    let route = Some(WANTED.to_owned());
    match plan {
        Plan::Run => {
            seen.namespace = active();
            (seen.workload, seen.volume, seen.route) = (applied(1), VolumeState::Bound, route);
        }
        Plan::Stop => (seen.workload, seen.volume, seen.route) = (applied(0), VolumeState::Bound, route),
        Plan::Restart => seen.pod = seen.pod.map(|pod| PodFacts { terminating: true, ..pod }),
        Plan::Remove(RemoveStep::Route) => seen.route = None,
        Plan::Remove(RemoveStep::Workload) => {
            seen.workload = None;
            seen.pod = seen.pod.map(|pod| PodFacts { terminating: true, ..pod });
        }
        Plan::Remove(RemoveStep::Namespace) => seen.namespace = NamespaceState::Terminating { uid: UID.to_owned() },
        Plan::Remove(RemoveStep::Row) => return None,
        Plan::Remove(RemoveStep::Await) | Plan::Settled => {
            // Time passes: what was applied is noted, what is going is gone.
            seen.workload = seen.workload.map(|workload| Workload { noted: true, ..workload });
            match seen.namespace {
                NamespaceState::Terminating { .. } => return Some(Observed::default()),
                NamespaceState::Absent | NamespaceState::Active { .. } | NamespaceState::Foreign => {}
            }
            seen.pod = seen.pod.filter(|pod| !pod.terminating);
        }
    }
    Some(seen)
}

#[test]
fn from_every_state_the_plans_come_to_an_end() {
    for start in everything() {
        for desired in Desired::ALL {
            let mut seen = Some(start.clone());
            let mut ended = false;
            for _ in 0..10 {
                let Some(now) = seen.take() else {
                    ended = desired == Desired::Deleted;
                    break;
                };
                let plan = decide(desired, &now, WANTED);
                let going = matches!(now.namespace, NamespaceState::Terminating { .. });
                let unnoted = now.workload.as_ref().is_some_and(|workload| !workload.noted);
                if plan == Plan::Settled && !going && !unnoted {
                    ended = desired != Desired::Deleted;
                    break;
                }
                seen = carried_out(plan, now);
            }
            assert!(ended, "{desired:?} never ends from {start:?}");
        }
    }
}
