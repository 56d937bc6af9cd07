//! Objects to the plain facts of a timeline. Pure.

use berth_core::lifecycle::PodStage;
use berth_core::names::{AGENT, INSTALL, MAIN, SEED};
use berth_core::timeline::{self as core, Ended, How, Notice, Run, Seen, Subject};
use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStatus, Event, PersistentVolumeClaim, Pod,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::observe;

pub(crate) fn of(pod: Option<&Pod>, claim: Option<&PersistentVolumeClaim>, events: &[Event]) -> Seen {
    Seen {
        disk: claim.map(|claim| core::Disk {
            uid: claim.metadata.uid.clone().unwrap_or_default(),
            ready: claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound"),
        }),
        pod: pod.map(of_pod),
        notices: events.iter().filter_map(notice).collect(),
    }
}

fn of_pod(pod: &Pod) -> core::Pod {
    let status = pod.status.as_ref();
    let since = |kind: &str| {
        let conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
        let true_one = conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True");
        true_one.and_then(|condition| time(condition.last_transition_time.as_ref()))
    };
    let statuses = status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let inits: Vec<_> = status.iter().flat_map(|status| status.init_container_statuses.iter().flatten()).collect();
    let seeds = |status: &&&ContainerStatus| status.name == SEED || (status.name == AGENT && inits.len() == 1);
    let seeding = inits.iter().find(seeds);
    let failed = match observe::before_main(pod) {
        Some(PodStage::SeedingFailed { message }) => {
            Some((seeding.map_or(0, |seeding| count(seeding.restart_count)), message))
        }
        Some(_) | None => None,
    };
    let grace = TimeDelta::seconds(pod.metadata.deletion_grace_period_seconds.unwrap_or_default());
    let evicted = status.filter(|status| status.reason.as_deref() == Some("Evicted"));
    core::Pod {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        scheduled_at: since("PodScheduled"),
        seeding_since: seeding.and_then(|seeding| begun(seeding.state.as_ref()).or(begun(seeding.last_state.as_ref()))),
        seeding_failed: failed,
        ready_at: since("Ready"),
        runs: statuses.into_iter().find(|status| status.name == MAIN).map(runs).unwrap_or_default(),
        evicted: evicted.map(|status| status.message.clone().unwrap_or_default()),
        // The cluster notes when its patience ends.
        leaving_since: time(pod.metadata.deletion_timestamp.as_ref()).map(|end| end - grace),
    }
}

/// The last run that is over and the one that is now, or was just now.
fn runs(main: &ContainerStatus) -> Vec<Run> {
    let restarts = count(main.restart_count);
    let now = main.state.as_ref().and_then(|state| {
        let id = state.terminated.as_ref().and_then(|ended| ended.container_id.clone()).or(main.container_id.clone());
        run(state, id?, restarts)
    });
    let before = main.last_state.as_ref().and_then(|state| {
        let id = state.terminated.as_ref()?.container_id.clone()?;
        // While the next one waits to be started, the one that ended last is the current one.
        run(state, id, if now.is_some() { restarts.saturating_sub(1) } else { restarts })
    });
    before.into_iter().chain(now).collect()
}

fn run(state: &ContainerState, id: String, restarts: u32) -> Option<Run> {
    if let Some(ended) = &state.terminated {
        let over = Ended { at: time(ended.finished_at.as_ref())?, how: how(ended) };
        return Some(Run { id, restarts, started_at: time(ended.started_at.as_ref()), ended: Some(over) });
    }
    let started_at = time(state.running.as_ref()?.started_at.as_ref());
    Some(Run { id, restarts, started_at, ended: None })
}

fn how(ended: &ContainerStateTerminated) -> How {
    match ended.reason.as_deref() {
        Some("OOMKilled") => How::OutOfMemory,
        Some("StartError" | "ContainerCannotRun") => {
            How::NeverStarted { message: ended.message.clone().unwrap_or_default() }
        }
        Some(_) | None => How::Exited { code: ended.exit_code },
    }
}

fn begun(state: Option<&ContainerState>) -> Option<DateTime<Utc>> {
    let state = state?;
    let ended = state.terminated.as_ref().and_then(|ended| time(ended.started_at.as_ref()));
    ended.or_else(|| time(state.running.as_ref()?.started_at.as_ref()))
}

/// `None` for one without a name or a time.
pub(crate) fn notice(event: &Event) -> Option<Notice> {
    let series = event.series.as_ref();
    let micro =
        |at: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime>| chrono_of(at?.0.as_microsecond());
    let first = time(event.first_timestamp.as_ref()).or_else(|| micro(event.event_time.as_ref()));
    let last = series.and_then(|series| micro(series.last_observed_time.as_ref()));
    let last = last.or_else(|| time(event.last_timestamp.as_ref())).or(first);
    Some(Notice {
        uid: event.metadata.uid.clone()?,
        subject: subject(event),
        reason: event.reason.clone().unwrap_or_default(),
        message: event.message.clone().unwrap_or_default(),
        first_at: first.or(last)?,
        last_at: last?,
        count: count(series.and_then(|series| series.count).or(event.count).unwrap_or(1)),
    })
}

fn subject(event: &Event) -> Subject {
    let object = &event.involved_object;
    let uid = object.uid.clone().unwrap_or_default();
    let field = object.field_path.as_deref().unwrap_or_default();
    // `spec.initContainers{seed}`
    let container = field.split_once('{').map(|(_, rest)| rest.trim_end_matches('}'));
    match (object.kind.as_deref(), container) {
        (Some("PersistentVolumeClaim"), _) => Subject::Disk(uid),
        (Some("StatefulSet"), _) => Subject::Workload,
        (Some("Pod"), Some(MAIN)) => Subject::Main(uid),
        (Some("Pod"), Some(SEED)) => Subject::Seed(uid),
        (Some("Pod"), Some(AGENT | INSTALL)) => Subject::Ours(uid),
        (Some("Pod"), None) => Subject::Pod(uid),
        (Some("Pod"), Some(_)) | (Some(_) | None, _) => Subject::Other,
    }
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// What never was has the time 0.
fn time(time: Option<&Time>) -> Option<DateTime<Utc>> {
    chrono_of(time?.0.as_microsecond()).filter(|at| at.timestamp() > 0)
}

fn chrono_of(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}

#[cfg(test)]
mod tests {
    use berth_core::timeline::{Kind, entries};
    use serde_json::{Value, json};

    use super::*;

    const AT: &str = "2026-11-25T21:37:02Z";

    fn now() -> DateTime<Utc> {
        AT.parse().unwrap()
    }

    fn pod(main: &Value, init: &Value) -> Pod {
        let named = |name: &str, state: &Value| {
            let mut status = json!({ "name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0 });
            status.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
            status
        };
        let pod = json!({
            "metadata": { "uid": "p" },
            "spec": { "containers": [], "nodeName": "n" },
            "status": {
                "conditions": [{ "type": "PodScheduled", "status": "True", "lastTransitionTime": AT }],
                "containerStatuses": [named("main", main)],
                "initContainerStatuses": [named("agent", init)],
            },
        });
        serde_json::from_value(pod).unwrap()
    }

    fn kinds(pod: &Pod) -> Vec<Kind> {
        entries(&of(Some(pod), None, &[]), now()).iter().map(|entry| entry.kind).collect()
    }

    #[test]
    fn a_pod_is_read() {
        use Kind::{CannotStart, Exited, OutOfMemory, Scheduled, Seeding, SeedingFailed, Started, Stopping};
        let runs = json!({ "state": { "running": { "startedAt": AT } } });
        let waits = json!({ "state": { "waiting": { "reason": "PodInitializing" } } });
        let over = |reason: &str, started: &str| {
            let ended = json!({ "exitCode": 137, "reason": reason, "startedAt": started, "finishedAt": AT, "containerID": "c://1" });
            json!({ "state": { "terminated": ended } })
        };
        assert_eq!(kinds(&pod(&waits, &waits)), [Scheduled]);
        assert_eq!(kinds(&pod(&waits, &runs)), [Scheduled, Seeding]);
        let main = json!({ "state": { "running": { "startedAt": AT } }, "containerID": "c://1" });
        assert_eq!(kinds(&pod(&main, &runs)), [Scheduled, Seeding, Started]);
        assert_eq!(kinds(&pod(&over("OOMKilled", AT), &runs)), [Scheduled, Seeding, Started, OutOfMemory]);
        assert_eq!(kinds(&pod(&over("Error", AT), &runs)), [Scheduled, Seeding, Started, Exited]);
        let never = over("StartError", "1970-01-01T00:00:00Z");
        assert_eq!(kinds(&pod(&never, &runs)), [Scheduled, Seeding, CannotStart]);
        let mut again = main.clone();
        again["restartCount"] = json!(1);
        again["lastState"] = over("Error", AT)["state"].clone();
        again["containerID"] = json!("c://2");
        assert_eq!(kinds(&pod(&again, &runs)), [Scheduled, Seeding, Started, Exited, Started]);
        let mut failed = over("Error", AT);
        failed["state"]["terminated"]["message"] = json!("no space");
        assert_eq!(kinds(&pod(&waits, &failed)), [Scheduled, Seeding, SeedingFailed]);
        let mut leaving = pod(&waits, &waits);
        leaving.metadata = serde_json::from_value(json!({
            "uid": "p", "deletionTimestamp": "2026-11-25T21:37:12Z", "deletionGracePeriodSeconds": 10,
        }))
        .unwrap();
        assert_eq!(kinds(&leaving), [Scheduled, Stopping]);
        assert_eq!(entries(&of(Some(&leaving), None, &[]), now())[1].at, now());
    }

    #[test]
    fn an_event_is_read() {
        let event = |object: Value, rest: Value| {
            let mut event =
                json!({ "metadata": { "uid": "e" }, "involvedObject": object, "reason": "R", "message": "m" });
            event.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            notice(&serde_json::from_value(event).unwrap())
        };
        let subject = |kind: &str, field: Option<&str>| {
            let object = json!({ "kind": kind, "uid": "u", "fieldPath": field });
            event(object, json!({ "lastTimestamp": AT, "count": 3 })).unwrap().subject
        };
        let uid = || "u".to_owned();
        assert_eq!(subject("Pod", Some("spec.containers{main}")), Subject::Main(uid()));
        assert_eq!(subject("Pod", Some("spec.initContainers{agent}")), Subject::Ours(uid()));
        assert_eq!(subject("Pod", Some("spec.initContainers{seed}")), Subject::Seed(uid()));
        assert_eq!(subject("Pod", Some("spec.containers{other}")), Subject::Other);
        assert_eq!(subject("Pod", None), Subject::Pod(uid()));
        assert_eq!(subject("PersistentVolumeClaim", None), Subject::Disk(uid()));
        assert_eq!(subject("StatefulSet", None), Subject::Workload);
        assert_eq!(subject("Node", None), Subject::Other);
        assert_eq!(event(json!({}), json!({})), None, "one without a time");
        let series = json!({ "eventTime": "2026-11-25T21:37:02.000000Z",
            "series": { "count": 4, "lastObservedTime": "2026-11-25T21:38:02.500000Z" } });
        let read = event(json!({}), series).unwrap();
        assert_eq!((read.count, read.first_at), (4, now()));
        assert_eq!(read.last_at, now() + TimeDelta::milliseconds(60_500));
    }
}
