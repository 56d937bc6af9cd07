use chrono::{DateTime, Utc};

use super::*;

/// Seconds after some hour.
fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn notice(subject: Subject, reason: &str, message: &str, second: i64) -> Notice {
    let uid = format!("{reason}-{second}");
    Notice {
        uid,
        subject,
        reason: reason.into(),
        message: message.into(),
        first_at: at(second),
        last_at: at(second),
        count: 1,
    }
}

fn pod() -> Subject {
    Subject::Pod("p".into())
}

fn main() -> Subject {
    Subject::Main("p".into())
}

fn run(restarts: u32, started: i64, ended: Option<(i64, How)>) -> Run {
    let ended = ended.map(|(second, how)| Ended { at: at(second), how });
    Run { id: format!("run{restarts}"), restarts, started_at: Some(at(started)), ended }
}

fn kinds(entries: &[Entry]) -> Vec<&'static str> {
    entries.iter().map(|entry| entry.kind.as_str()).collect()
}

#[test]
fn every_kind_has_a_word_of_its_own_that_reads_back() {
    for kind in Kind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(*kind));
    }
}

/// All in one second, as the cluster counts.
fn a_start() -> Seen {
    Seen {
        disk: Some(Disk { uid: "d".into(), ready: true }),
        pod: Some(Pod {
            uid: "p".into(),
            scheduled_at: Some(at(1)),
            seeding_since: Some(at(1)),
            ready_at: Some(at(1)),
            runs: vec![run(0, 1, None)],
            ..Pod::default()
        }),
        notices: vec![
            notice(main(), "Started", "Container started", 1),
            notice(
                pod(),
                "Pulled",
                "Successfully pulled image \"x:1\" in 1.25s (2s including waiting). Image size: 9 bytes.",
                1,
            ),
            notice(Subject::Ours("p".into()), "Pulled", "Container image \"agent\" already present on machine", 1),
            notice(pod(), "Pulling", "Pulling image \"x:1\"", 1),
            notice(main(), "Pulled", "Container image \"x:1\" already present on machine", 1),
            notice(pod(), "Scheduled", "Successfully assigned compute-7-bcdfghjk/machine-0 to node-3", 1),
            notice(
                pod(),
                "FailedScheduling",
                "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
                0,
            ),
        ],
    }
}

#[test]
fn a_start_is_told_in_order_and_once() {
    let told = entries(&a_start(), at(3));
    assert_eq!(kinds(&told), ["volume", "scheduled", "pulling", "pulled", "seeding", "started", "ready"]);
    assert_eq!(told[3].message, "the image was pulled in 1.25s");
    assert!(told.iter().all(|entry| entry.count == 1 && entry.at == at(1)));
    assert!(!format!("{told:?}").contains("node-3"));
}

#[test]
fn parts_of_what_was_seen_give_the_same_keys() {
    let whole = entries(&a_start(), at(3));
    let keys = |entries: &[Entry]| entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>();
    let without = Seen { notices: Vec::new(), ..a_start() };
    let without = entries(&without, at(9));
    assert_eq!(kinds(&without), ["volume", "scheduled", "pulled", "seeding", "started", "ready"]);
    assert!(keys(&without).iter().all(|key| keys(&whole).contains(key)), "{without:?}");
    let alone = entries(&Seen { disk: None, pod: None, ..a_start() }, at(9));
    assert_eq!(kinds(&alone), ["scheduled", "pulling", "pulled"]);
    assert!(keys(&alone).iter().all(|key| keys(&whole).contains(key)), "{alone:?}");
    let mut reversed = a_start();
    reversed.notices.reverse();
    assert_eq!(keys(&entries(&reversed, at(3))), keys(&whole));
}

#[test]
fn nothing_seen_is_nothing_told() {
    assert_eq!(entries(&Seen::default(), at(0)), []);
    let waits = Seen { disk: Some(Disk { uid: "d".into(), ready: false }), ..Seen::default() };
    assert_eq!(entries(&waits, at(0)), []);
}

#[test]
fn runs_of_one_second_keep_their_order() {
    let ends = |code| Some((5, How::Exited { code }));
    let signal = run(0, 1, Some((5, How::Exited { code: 143 })));
    let pod = Pod { runs: vec![signal], ..Pod::default() };
    let told = entries(&Seen { pod: Some(pod), ..Seen::default() }, at(9));
    assert_eq!(told[1].message, "its main process was ended by signal 15 (exit code 143)");
    let runs = vec![run(1, 5, ends(3)), run(2, 5, Some((5, How::OutOfMemory)))];
    let pod = Pod { uid: "p".into(), ready_at: Some(at(5)), runs, ..Pod::default() };
    let told = entries(&Seen { pod: Some(pod), ..Seen::default() }, at(9));
    assert_eq!(kinds(&told), ["pulled", "started", "exited", "started", "ready", "oom"]);
    assert!(told[1].message.contains("restart 1") && told[2].message.contains("exit code 3"));
}

#[test]
fn what_goes_on_is_counted_in_one_entry() {
    let fails = |count, second| Notice {
        count,
        last_at: at(second),
        ..notice(main(), "Failed", "Failed to pull image \"x:1\": rpc error: code = NotFound desc = x:1: not found", 1)
    };
    let told = entries(&Seen { notices: vec![fails(2, 4), fails(7, 9), fails(3, 5)], ..Seen::default() }, at(9));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].count, told[0].at), (7, at(9)));
    assert_eq!(told[0].message, "the image cannot be pulled; it is tried again: x:1: not found");
    let both = vec![fails(1, 1), notice(main(), "Pulling", "Pulling image \"x:1\"", 1)];
    assert_eq!(kinds(&entries(&Seen { notices: both, ..Seen::default() }, at(9))), ["pulling", "pull_failed"]);
}

#[test]
fn what_event_objects_mean() {
    use Subject::{Disk, Ours, Seed, Workload};
    let (disk, seed, ours) = (|| Disk("d".into()), || Seed("p".into()), || Ours("p".into()));
    for (subject, reason, message, expected) in [
        (disk(), "ProvisioningSucceeded", "Successfully provisioned volume pvc-1", Some("volume")),
        (disk(), "ProvisioningFailed", "no space left", Some("volume_failed")),
        (disk(), "ExternalProvisioning", "Waiting for a volume", None),
        (Workload, "FailedCreate", "exceeded quota: berth", Some("refused")),
        (Workload, "FailedCreate", "status unknown for quota: berth", None),
        (Workload, "SuccessfulCreate", "create Pod machine-0", None),
        (
            pod(),
            "FailedScheduling",
            "0/1 nodes are available: 1 Insufficient memory. preemption: none.",
            Some("unschedulable"),
        ),
        (pod(), "FailedMount", "MountVolume.SetUp failed", Some("mount_failed")),
        (seed(), "Pulling", "Pulling image \"x:1\"", Some("pulling")),
        (ours(), "Pulling", "Pulling image \"agent\"", None),
        (ours(), "Failed", "Failed to pull image \"agent\": refused", None),
        (main(), "Failed", "Error: ErrImagePull", None),
        (main(), "Failed", "Error: ImagePullBackOff", None),
        (main(), "BackOff", "Back-off pulling image \"x:1\"", None),
        (main(), "Failed", "Error: failed to create containerd task: exec: no such file", Some("cannot_start")),
        (pod(), "FailedCreatePodSandBox", "plugin berth at 10.0.0.1 failed", Some("cannot_start")),
        (main(), "BackOff", "Back-off restarting failed container main in pod", Some("back_off")),
        (ours(), "BackOff", "Back-off restarting failed container agent in pod", None),
        (pod(), "NodeNotReady", "Node is not ready", Some("node_lost")),
        (pod(), "Evicted", "The node was low on resource: memory.", Some("evicted")),
        (pod(), "Preempted", "Preempted by pod x on node y", Some("evicted")),
        (pod(), "TaintManagerEviction", "Marking for deletion Pod", Some("evicted")),
        (pod(), "TaintManagerEviction", "Cancelling deletion of Pod", None),
        (main(), "Killing", "Stopping container main", Some("stopping")),
        (ours(), "Killing", "FailedPostStartHook", None),
        (Subject::Other, "NodeReady", "Node is ready", None),
        (pod(), "Whatever", "is new", None),
    ] {
        let told = notice(subject, reason, message, 0).entry();
        assert_eq!(told.as_ref().map(|entry| entry.kind.as_str()), expected, "{reason}: {message}");
        let message = told.map(|entry| entry.message).unwrap_or_default();
        assert!(
            !message.contains("10.0.0.1") && !message.contains("preemption") && !message.contains("pvc-"),
            "{message}"
        );
    }
}

#[test]
fn the_clusters_words_become_plain() {
    for (words, expected) in [
        ("two\nlines \t and   gaps", "two lines and gaps"),
        ("dial tcp 10.95.0.1:5000: connect: refused", "dial tcp …: connect: refused"),
        ("Head \"http://10.41.249.2:5000/v2/\": EOF", "Head \"http://…/v2/\": EOF"),
        ("registry 203.0.113.7:5000/x:1 says no", "registry 203.0.113.7:5000/x:1 says no"),
        ("lookup on [fd00::1]:53: no such host", "lookup on […]:53: no such host"),
        ("version 1.36.3 of 2026-11-25T21:37:01Z", "version 1.36.3 of 2026-11-25T21:37:01Z"),
        ("pod machine-0(1c410409-fac7-452a-895f-a3eb0c8b55f2) is new", "pod machine-0(…) is new"),
        ("rpc error: code = Unknown desc = failed", "failed"),
        ("a: rpc error: code = X desc = b: rpc error: code = Y desc = c", "a: b: c"),
        ("rpc error: code = X", "rpc error: code = X"),
        ("(combined from similar events): full", "full"),
        ("", ""),
    ] {
        assert_eq!(plain(words), expected);
    }
    let long = plain(&"é".repeat(1000));
    assert!(long.len() <= 303 && long.contains('…'), "{}", long.len());
    let caused = plain(&format!("cannot pull {}: not found", "x".repeat(400)));
    assert!(caused.starts_with("cannot pull xxx") && caused.ends_with("xxx: not found"), "{caused}");
    assert!(plain(&"word ".repeat(1000)).len() <= 303);
}

#[test]
fn an_eviction_and_a_failed_disk_are_told_of_the_pod_alone() {
    let pod = Pod {
        uid: "p".into(),
        evicted: Some("The node was low on resource: memory.".into()),
        seeding_failed: Some((3, "no space left on the disk".into())),
        leaving_since: Some(at(5)),
        ..Pod::default()
    };
    let told = entries(&Seen { pod: Some(pod), ..Seen::default() }, at(9));
    assert_eq!(kinds(&told), ["stopping", "seeding_failed", "evicted"]);
    assert_eq!(told[1].count, 3);
    let cannot = run(0, 0, Some((2, How::NeverStarted { message: "exec /no: no such file".into() })));
    let pod = Pod { uid: "p".into(), runs: vec![Run { started_at: None, ..cannot }], ..Pod::default() };
    assert_eq!(kinds(&entries(&Seen { pod: Some(pod), ..Seen::default() }, at(9))), ["cannot_start"]);
}
