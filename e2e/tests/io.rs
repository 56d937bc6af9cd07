//! Logs and terminals of real containers, through the real daemon.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::cell::Cell;

use berth_e2e::berthd::{Berthd, Setup, User, service_kubeconfig};
use berth_e2e::tcp_proxy::TcpProxy;
use berth_e2e::{kubectl, until};
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

/// What a shell line prints becomes what the container's main process prints.
async fn prints(namespace: &str, line: &str) {
    let done = kubectl::sh(namespace, &format!("{{ {line}; }} > /proc/1/fd/1")).await;
    assert!(done.is_some(), "{line} in {namespace}");
}

async fn running(user: &User<'_>, name: &str) -> (String, String) {
    let id = user.create(name).await;
    user.settled(&id, "running").await;
    let namespace = user.namespace(&id);
    (id, namespace)
}

/// The lines of a plain answer, without their times.
async fn plain(user: &User<'_>, id: &str, rest: &str) -> Vec<Vec<u8>> {
    let (status, body) = user.bytes(&format!("/compute/containers/{id}/logs{rest}")).await;
    assert_eq!(status, StatusCode::OK, "{rest}: {}", String::from_utf8_lossy(&body));
    assert!(body.is_empty() || body.ends_with(b"\n"), "whole lines");
    let line = |line: &[u8]| line[line.iter().position(|byte| *byte == b' ').unwrap() + 1..].to_vec();
    body.split(|byte| *byte == b'\n').filter(|bytes| !bytes.is_empty()).map(line).collect()
}

fn texts(lines: Vec<Vec<u8>>) -> Vec<String> {
    lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
}

async fn has_printed(user: &User<'_>, id: &str, last: &str) {
    let check = async || {
        let lines = plain(user, id, "?tail=5").await;
        lines.iter().any(|line| line == last.as_bytes()).then_some(())
    };
    until(last, 30, check).await;
}

fn numbered(range: std::ops::RangeInclusive<usize>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

#[tokio::test]
async fn what_a_container_prints() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(140, "ann");
    let id = ann.create("prints").await;
    // Before there is a pod: a socket waits, a plain answer says so.
    let (status, body) = ann.bytes(&format!("/compute/containers/{id}/logs")).await;
    assert_eq!(status, StatusCode::CONFLICT, "{}", String::from_utf8_lossy(&body));
    let mut early = ann.socket(&id, "logs").await.unwrap();
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    prints(&namespace, "for i in $(seq 1 150); do echo line $i; done").await;
    assert_eq!(early.lines_until("line 150").await, numbered(1..=150));

    assert_eq!(texts(plain(&ann, &id, "").await), numbered(51..=150));
    assert_eq!(texts(plain(&ann, &id, "?tail=3").await), numbered(148..=150));
    assert!(plain(&ann, &id, "?tail=0").await.is_empty());
    assert_eq!(texts(plain(&ann, &id, "?since=1h").await), numbered(1..=150));
    let (_, body) = ann.bytes(&format!("/compute/containers/{id}/logs?tail=2")).await;
    let at = String::from_utf8(body).unwrap().lines().next().unwrap().split_once(' ').unwrap().0.to_owned();
    assert_eq!(texts(plain(&ann, &id, &format!("?since={at}")).await), numbered(149..=150));
    let (status, body) = ann.call(Method::GET, &format!("/compute/containers/{id}/logs?previous=true"), None).await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("conflict")), "nothing was before");

    let mut late = ann.socket(&id, "logs?tail=1").await.unwrap();
    let mut none = ann.socket(&id, "logs?tail=0").await.unwrap();
    prints(&namespace, "printf 'b\\377\\000\\033[1m\\n\\n'; echo end").await;
    assert_eq!(late.lines_until("end").await, ["line 150", "b\u{fffd}\0\u{1b}[1m", "", "end"]);
    assert_eq!(none.lines_until("end").await, ["b\u{fffd}\0\u{1b}[1m", "", "end"]);
    assert_eq!(plain(&ann, &id, "?tail=3").await, [b"b\xff\0\x1b[1m".to_vec(), vec![], b"end".to_vec()]);

    let path = format!("/compute/containers/{id}/logs?tail=1&follow=true");
    let stop = async {
        until("the follower", 20, async || (berthd.metric("berth_log_streams").await >= 4.0).then_some(())).await;
        assert_eq!(ann.post(&id, "stop").await.0, StatusCode::OK);
    };
    let ((status, body), ()) = tokio::join!(ann.bytes(&path), stop);
    assert_eq!(status, StatusCode::OK);
    assert!(body.ends_with(b" end\n"));
    for socket in [&mut early, &mut late, &mut none] {
        assert_eq!(socket.closed("the stop").await, (1000, "the container stopped".to_owned()));
    }
    ann.settled(&id, "stopped").await;
    assert_eq!(ann.bytes(&format!("/compute/containers/{id}/logs")).await.0, StatusCode::CONFLICT);
    assert_eq!(ann.socket(&id, "logs").await.unwrap_err(), StatusCode::CONFLICT);
    assert_eq!(ann.socket(&id, "terminal").await.unwrap_err(), StatusCode::CONFLICT);
    ann.removed(&id).await;
}

#[tokio::test]
async fn long_lines_are_whole_up_to_a_mebibyte() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(141, "ann");
    let (id, namespace) = running(&ann, "long").await;
    let mut socket = ann.socket(&id, "logs").await.unwrap();
    let long = |length: usize| format!("head -c {length} /dev/zero | tr '\\0' x; echo");
    prints(&namespace, &format!("echo first; {}; {}; echo last", long(1 << 20), long(3 << 20))).await;
    let cut = format!("{} [cut: the line is longer than 1 MiB]", "x".repeat(1 << 20));
    let whole = "x".repeat(1 << 20);
    let expected = ["first", &whole, &cut, "last"];
    assert!(socket.lines_until("last").await == expected, "the lines of a socket");
    assert!(texts(plain(&ann, &id, "?tail=3").await) == expected[1..], "the last three lines");
    assert!(texts(plain(&ann, &id, "?tail=2").await) == expected[2..], "the last two lines");
    assert!(texts(plain(&ann, &id, "?tail=100").await) == expected, "all lines");
    ann.removed(&id).await;
}

#[tokio::test]
async fn a_restart_of_the_process_is_followed() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(142, "ann");
    let (id, namespace) = running(&ann, "restarts").await;
    let mut socket = ann.socket(&id, "logs").await.unwrap();
    let mut expected = Vec::new();
    for round in 1..=2 {
        prints(&namespace, &format!("for i in $(seq 1 500); do echo round {round} $i; done")).await;
        expected.extend((1..=500).map(|number| format!("round {round} {number}")));
        assert_eq!(kubectl::sh(&namespace, "kill 1").await.as_deref(), Some(""));
        let restarted = async || {
            let path = "jsonpath={.status.containerStatuses[?(@.name==\"main\")].restartCount}";
            let restarts = kubectl::run(&["-n", &namespace, "get", "pod", "machine-0", "-o", path]).await;
            (restarts == round.to_string()).then_some(())
        };
        until("the restart", 120, restarted).await;
        ann.settled(&id, "running").await;
    }
    prints(&namespace, "echo end").await;
    expected.push("end".to_owned());
    assert_eq!(socket.lines_until("end").await, expected);
    assert_eq!(texts(plain(&ann, &id, "?previous=true&tail=1").await), ["round 2 500"]);
    assert_eq!(texts(plain(&ann, &id, "").await), ["end"]);
    let mut previous = ann.socket(&id, "logs?previous=true&tail=1").await.unwrap();
    assert_eq!(previous.line("the last line").await.unwrap(), "round 2 500");
    assert_eq!(previous.closed("the end").await, (1000, "that is all of the previous log".to_owned()));
    ann.removed(&id).await;
}

#[tokio::test]
async fn rotated_files_lose_and_double_nothing() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(143, "ann");
    let (id, namespace) = running(&ann, "rotates").await;
    let mut socket = ann.socket(&id, "logs").await.unwrap();
    // 26 MB over more than two of the kubelet's looks at the size (every 10 s; it rotates at 10 MiB).
    let filler = "x".repeat(90);
    let script = format!(
        "for i in $(seq 1 26); do seq -f '%.0f {filler}' $((i * 10000 - 9999)) $((i * 10000)); sleep 1; done; echo end"
    );
    let printing = prints(&namespace, &script);
    let reading = async {
        for number in 1..=260_000 {
            let line = socket.line("a numbered line").await.unwrap();
            let found = line.split(' ').next().unwrap().parse::<u32>().unwrap();
            assert_eq!(found, number, "every line comes once, in order");
        }
        assert_eq!(socket.line("the end").await.unwrap(), "end");
    };
    tokio::join!(printing, reading);
    let left = plain(&ann, &id, "?since=1h").await.len();
    assert!(left < 260_000, "the file was rotated: {left} lines are left in it");
    ann.removed(&id).await;
}

/// The first words of the newest log file; `None` when it is empty.
async fn first_of_newest_file(namespace: &str) -> Option<String> {
    let first = ["-n", namespace, "logs", "-c", "main", "machine-0", "--limit-bytes=20"];
    kubectl::try_run(&first).await.filter(|words| !words.is_empty())
}

#[tokio::test]
async fn a_file_turned_over_before_its_end_was_read_is_left() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(158, "ann");
    let (id, namespace) = running(&ann, "left").await;
    // 64 MB, more than is on its way between the kubelet and a reader. Again when the file was turned over meanwhile.
    let filler = "x".repeat(8000);
    let rounds = Cell::new(0);
    let whole_file = async || {
        let round = rounds.get() + 1;
        rounds.set(round);
        let first = first_of_newest_file(&namespace).await;
        prints(&namespace, &format!("seq -f 'round {round} %06.0f {filler}' 1 8000; echo end {round}")).await;
        has_printed(&ann, &id, &format!("end {round}")).await;
        let now = first_of_newest_file(&namespace).await?;
        let whole = first.map_or_else(|| now.starts_with(&format!("round {round} 000001")), |first| first == now);
        whole.then_some((round, now))
    };
    let (round, first) = until("a long file", 120, whole_file).await;
    // Its reader is not at the end, so the kubelet is not either, when it turns the file over.
    let mut socket = ann.socket(&id, "logs?since=1h").await.unwrap();
    let (mut lines, last) = (Vec::new(), format!("end {round}"));
    let begun = std::time::Instant::now();
    while first_of_newest_file(&namespace).await.as_ref() == Some(&first) {
        assert!(begun.elapsed().as_secs() < 30, "the file is turned over");
        for _ in 0..20 {
            lines.push(socket.line("a line of the old file").await.unwrap());
        }
    }
    assert!(!lines.contains(&last), "the reader is not at the end");
    lines.extend(socket.lines_until(&last).await);
    let counted = lines.iter().filter(|line| line.starts_with(&format!("round {round} "))).enumerate();
    let mut count = 0;
    for (index, line) in counted {
        assert!(line.starts_with(&format!("round {round} {:06} ", index + 1)), "every line comes once, in order");
        count += 1;
    }
    assert_eq!(count, 8000);
    prints(&namespace, "echo in the new file").await;
    let next = tokio::time::timeout(std::time::Duration::from_secs(60), socket.line("the new file")).await;
    assert_eq!(next.expect("the stream stands still at the old file").unwrap(), "in the new file");
    ann.removed(&id).await;
}

#[tokio::test]
async fn a_flood_over_a_rotation_lacks_the_end_of_a_file_at_most() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(159, "ann");
    let (id, namespace) = running(&ann, "bursts").await;
    let mut socket = ann.socket(&id, "logs").await.unwrap();
    // As fast as it is read, so that the kubelet is at the end of the file when it turns it over.
    let filler = "x".repeat(990);
    let burst = format!(
        "for ((i = 0; ; i += 40)); do seq -f '%09.0f {filler}' $((i + 1)) $((i + 40)); sleep 0.01; \
         [ ! -e /tmp/enough ] || break; done"
    );
    let turned_over = async {
        let changed = async || {
            let first = first_of_newest_file(&namespace).await?;
            (!first.starts_with("000000001 ")).then_some(())
        };
        until("the rotation", 60, changed).await;
        kubectl::sh(&namespace, "touch /tmp/enough").await.unwrap();
    };
    let printing = async {
        tokio::join!(prints(&namespace, &burst), turned_over);
        prints(&namespace, "echo after").await;
    };
    let (lines, ()) = tokio::join!(socket.lines_until("after"), printing);
    let newest = texts(plain(&ann, &id, "?since=1h").await);
    assert_eq!(newest.last().unwrap(), "after", "one rotation");

    // Of the new file nothing is lacking; of the old one at most a piece at its end, in which the last line may be torn.
    assert!(newest.len() < lines.len() && lines.ends_with(&newest), "all of the new file");
    let old = &lines[..lines.len() - newest.len()];
    let number = |line: &String| (line.len() == 1000).then(|| line[..9].parse::<usize>().unwrap());
    for (index, line) in old.iter().enumerate() {
        let torn = index + 1 == old.len() && line.len() < 1000;
        assert!(torn || number(line) == Some(index + 1), "line {} is {line}", index + 1);
    }
    let newest: Vec<usize> = newest.iter().filter_map(number).collect();
    assert!(newest.windows(2).all(|pair| pair[1] == pair[0] + 1), "every line once, in order");
    assert!(newest.first().is_none_or(|first| *first > old.len().saturating_sub(1)), "nothing comes twice");
    ann.removed(&id).await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_off() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(144, "ann");
    let (id, namespace) = running(&ann, "floods").await;
    let mut idle = ann.socket(&id, "logs").await.unwrap();
    prints(&namespace, "echo begun").await;
    idle.lines_until("begun").await;
    let before = berthd.memory();
    prints(&namespace, &format!("seq -f '%.0f {}' 1 400000", "x".repeat(200))).await;
    let cut_off = async || (berthd.metric("berth_log_streams").await == 0.0).then_some(());
    until("the reader to be cut off", 60, cut_off).await;
    let grown = berthd.memory().saturating_sub(before);
    assert!(grown < 48 * 1024, "berthd grew by {grown} KiB over one slow reader");
    assert_eq!(idle.closed("the cut").await.0, 1006, "it was not waited for");
    // The flood's own last line may stand in a file that the kubelet has just turned over, and that it no longer reads.
    prints(&namespace, "echo unharmed").await;
    has_printed(&ann, &id, "unharmed").await;
    ann.removed(&id).await;
}

#[tokio::test]
async fn a_terminal_in_a_container() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(145, "ann");
    let (id, namespace) = running(&ann, "shell").await;
    let mut shell = ann.socket(&id, "terminal").await.unwrap();
    shell.shows("# ").await;
    shell.type_in("stty size; echo $TERM-$HOME-$SHELL-$((6 * 7))\r").await;
    let shown = shell.shows("-42").await;
    assert!(shown.contains("24 80") && shown.contains("xterm-256color-/root-/bin/bash-42"), "{shown}");
    shell.send(Message::text(r#"{"type":"resize","cols":120,"rows":40}"#)).await;
    shell.type_in("until [ \"$(stty size)\" = '40 120' ]; do :; done; echo is-$((1 + 1))\r").await;
    shell.shows("is-2").await;
    shell.type_in("exit 3\r").await;
    assert_eq!(shell.closed("the exit").await, (1000, "exited with code 3".to_owned()));

    let mut command = ann.socket(&id, "terminal?command=echo+one%3B+tty%3B+exit+7").await.unwrap();
    command.shows("/dev/pts/").await;
    assert_eq!(command.closed("the command's end").await, (1000, "exited with code 7".to_owned()));

    for frame in ["{", r#"{"type":"resize","cols":0,"rows":1}"#, r#"{"type":"resize"}"#, r#"{"type":"paint"}"#, ""] {
        let mut shell = ann.socket(&id, "terminal").await.unwrap();
        shell.send(Message::text(frame)).await;
        assert_eq!(shell.closed("the refusal").await.0, 4400, "{frame}");
    }

    let other = berthd.user(146, "ben");
    assert_eq!(other.socket(&id, "terminal").await.unwrap_err(), StatusCode::NOT_FOUND);
    assert_eq!(other.socket(&id, "logs").await.unwrap_err(), StatusCode::NOT_FOUND);
    no_terminal_is_left(&namespace).await;
    ann.removed(&id).await;
}

/// Only the container's own processes and the looking one.
async fn no_terminal_is_left(namespace: &str) {
    let check = async || {
        let listed = kubectl::sh(namespace, "ps -eo tty=,args= | grep -v '^?.*ps -eo'").await?;
        let left =
            listed.lines().any(|line| !line.starts_with('?') || line.contains("berth") || line.contains("sleep 424"));
        (!left).then_some(())
    };
    until("the terminals' processes to end", 20, check).await;
}

#[tokio::test]
async fn a_paste_of_ten_megabytes_arrives() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(147, "ann");
    let (id, _) = running(&ann, "paste").await;
    let mut shell = ann.socket(&id, "terminal").await.unwrap();
    let paste: Vec<u8> =
        (0..10 * 1024 * 1024_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let digest = sha256(&paste);
    shell.type_in("stty raw -echo; echo go-$((1 + 1)); head -c 10485760 | sha256sum; stty sane\r").await;
    shell.shows("go-2").await;
    // One message, as a browser sends it.
    shell.send(Message::binary(paste.clone())).await;
    shell.shows(&digest).await;

    // With an echo that comes back at the same time: both directions at once.
    shell
        .type_in("stty raw -echo; echo go-$((1 + 2)); head -c 10485760; stty sane; echo; echo gone-$((1 + 3))\r")
        .await;
    shell.shows("go-3").await;
    for piece in paste.chunks(1 << 20) {
        shell.send(Message::binary(piece.to_vec())).await;
    }
    shell.shows("gone-4").await;
    ann.removed(&id).await;
}

fn sha256(bytes: &[u8]) -> String {
    use std::io::Write;
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn twenty_at_once_and_how_they_end() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(148, "ann");
    let (id, namespace) = running(&ann, "many").await;
    let mut shells = join_all((0..20).map(|_| async { ann.socket(&id, "terminal").await.unwrap() })).await;
    let typed = shells.iter_mut().enumerate().map(|(number, shell)| async move {
        shell.type_in(&format!("echo shell-$(({number} + 1000))\r")).await;
        shell.shows(&format!("shell-{}", number + 1000)).await;
    });
    join_all(typed).await;
    assert_eq!(berthd.metric("berth_terminals").await, 20.0);

    let made = ann.call(Method::POST, "/auth/tokens", Some(&json!({ "name": "t" }))).await.1;
    let other = ann.with_token(made["secret"].as_str().unwrap());
    let (mut shell, mut log) = (other.socket(&id, "terminal").await.unwrap(), other.socket(&id, "logs").await.unwrap());
    assert_eq!(ann.call(Method::DELETE, &format!("/auth/tokens/{}", made["id"]), None).await.0, StatusCode::OK);
    assert_eq!(shell.closed("the revocation").await.0, 4401);
    assert_eq!(log.closed("the revocation").await.0, 4401);

    assert_eq!(ann.post(&id, "stop").await.0, StatusCode::OK);
    for shell in &mut shells {
        assert_eq!(shell.closed("the stop").await, (4409, "the container was stopped".to_owned()));
    }
    ann.settled(&id, "stopped").await;
    assert!(kubectl::exists("namespace", &namespace).await);
    ann.removed(&id).await;
}

#[tokio::test]
async fn who_leaves_without_a_word_leaves_no_process() {
    let mut berthd = Berthd::start().await;
    let (id, namespace) = running(&berthd.user(149, "ann"), "left").await;
    let busy = async |berthd: &Berthd| {
        let ann = berthd.user(149, "ann");
        let mut shell = ann.socket(&id, "terminal").await.unwrap();
        shell.type_in("sleep 4241 & sleep 4242\r").await;
        let started = async || kubectl::sh(&namespace, "pgrep -f '^sleep 4242'").await.map(drop);
        until("the command to run", 20, started).await;
        shell
    };
    busy(&berthd).await.drop_it();
    no_terminal_is_left(&namespace).await;
    // Nor does berthd itself.
    let shell = busy(&berthd).await;
    berthd.kill();
    shell.drop_it();
    no_terminal_is_left(&namespace).await;
    berthd.launch().await;
    berthd.user(149, "ann").removed(&id).await;
}

#[tokio::test]
async fn opening_is_written_down() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(150, "ann");
    let (id, _) = running(&ann, "audit").await;
    plain(&ann, &id, "").await;
    let mut shell = ann.socket(&id, "terminal").await.unwrap();
    shell.type_in("exit\r").await;
    shell.closed("the exit").await;
    assert_eq!(berthd.audited(&id).await, ["container.create", "logs.open", "terminal.open"]);
    ann.removed(&id).await;
}

#[tokio::test]
async fn a_cluster_that_is_away_is_named_and_waited_for() {
    let mut proxy = TcpProxy::start(&service_kubeconfig()).await;
    let mut berthd = Berthd::set_up(Setup { kubeconfig: Some(proxy.kubeconfig()), ..Setup::default() });
    berthd.launch().await;
    let ann = berthd.user(151, "ann");
    let (id, namespace) = running(&ann, "away").await;
    let mut log = ann.socket(&id, "logs").await.unwrap();
    let mut shell = ann.socket(&id, "terminal").await.unwrap();
    shell.shows("# ").await;
    prints(&namespace, "seq 1 500").await;
    let numbers = |range: std::ops::RangeInclusive<u32>| range.map(|number| number.to_string()).collect::<Vec<_>>();
    assert_eq!(log.lines_until("500").await, numbers(1..=500));

    proxy.down();
    assert_eq!(shell.closed("the loss").await, (1013, "the connection to the container was lost".to_owned()));
    no_terminal_is_left(&namespace).await;
    prints(&namespace, "seq 501 900").await;
    for rest in ["logs", "logs?follow=true"] {
        let (status, body) = ann.call(Method::GET, &format!("/compute/containers/{id}/{rest}"), None).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert_eq!(body["detail"], "Kubernetes could not do this: its API server does not answer");
    }
    assert_eq!(ann.socket(&id, "logs").await.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ann.socket(&id, "terminal").await.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);

    proxy.up().await;
    prints(&namespace, "seq 901 1000").await;
    assert_eq!(log.lines_until("1000").await, numbers(501..=1000));
    ann.removed(&id).await;
}

#[tokio::test]
async fn a_terminal_that_nobody_uses_is_closed() {
    let settings = vec![("BERTH_API__TERMINAL_IDLE_MINUTES", "1".to_owned())];
    let mut berthd = Berthd::set_up(Setup { settings, ..Setup::default() });
    berthd.launch().await;
    let ann = berthd.user(152, "ann");
    let (id, namespace) = running(&ann, "idle").await;
    let (mut idle, mut busy) = tokio::join!(async { ann.socket(&id, "terminal").await.unwrap() }, async {
        // for i in $(seq 100); do sleep 9; echo tick-$i-; done
        ann.socket(&id, "terminal?command=for+i+in+$(seq+100)%3B+do+sleep+9%3B+echo+tick-$i-%3B+done").await.unwrap()
    },);
    // Both are read all the time, because a client that answers no ping is taken for dead.
    let (closed, _) = tokio::join!(idle.closed("the limit"), busy.shows("tick-7-"));
    assert_eq!(closed, (4408, "nothing was typed or written for 1 min".to_owned()));
    busy.type_in("\x03").await;
    assert_eq!(busy.closed("the interrupt").await, (1000, "exited with code 130".to_owned()));
    no_terminal_is_left(&namespace).await;
    ann.removed(&id).await;
}
