//! Following a log: from the order to print many lines to the last of them, against `kubectl logs -f` of the same container,
//! turn by turn; and what one more follower costs.

use std::process::Stdio;

use anyhow::{Context, ensure};
use berth_e2e::berthd::{Berthd, User};
use berth_e2e::kubectl;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::create::clear;
use crate::machine::{resident_kib, ticks};
use crate::table::{Row, Samples};

/// All rounds stay below 10 MiB, where the kubelet turns a log over: what is printed in that moment reaches no follower of it.
const LINES: usize = 10_000;
/// Bytes of a line, its end included; the runtime adds some 45.
const WIDTH: usize = 100;
const ROUNDS: usize = 3;
const FOLLOWERS: usize = 20;

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let berthd = Berthd::start().await;
    let ann = berthd.user(44, "ann");
    let measured = follow(&berthd, &ann).await;
    clear(cluster, &ann).await?;
    measured
}

async fn follow(berthd: &Berthd, ann: &User<'_>) -> anyhow::Result<Vec<Row>> {
    let pid = berthd.pid().context("berthd does not run")?;
    let id = ann.create("one").await;
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    kubectl::sh(&namespace, "echo first > /proc/1/fd/1").await.context("printing a first line")?;

    let (mut ours, mut theirs) = (Samples::default(), Samples::default());
    let (mut our_ticks, mut their_ticks, mut their_memory) = (0, 0, 0.0_f64);
    for round in 0..ROUNDS {
        let mut socket = ann.socket(&id, "logs?tail=1").await.map_err(|status| anyhow::anyhow!("logs: {status}"))?;
        socket.line("the last line").await.map_err(|closed| anyhow::anyhow!("logs: {closed:?}"))?;
        let before = ticks(pid)?;
        let (begun, last) = (Instant::now(), format!("berth {round}"));
        let (read, ()) =
            tokio::try_join!(async { anyhow::Ok(socket.lines_until(&last).await.len()) }, flood(&namespace, &last))?;
        ours.push(begun.elapsed());
        our_ticks += ticks(pid)? - before;
        ensure!(read == LINES + 1, "the socket gave {read} lines");
        drop(socket);

        let (mut kubectl, mut lines) = kubectl_follows(&namespace).await?;
        let peer = kubectl.id().context("kubectl ended")?;
        let before = ticks(peer)?;
        let (begun, last) = (Instant::now(), format!("kubectl {round}"));
        let (read, ()) = tokio::try_join!(until(&mut lines, &last), flood(&namespace, &last))?;
        theirs.push(begun.elapsed());
        their_ticks += ticks(peer)? - before;
        their_memory = their_memory.max(resident_kib(peer)?);
        ensure!(read == LINES + 1, "kubectl gave {read} lines");
        kubectl.kill().await?;
    }

    let before = resident_kib(pid)?;
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        let mut socket = ann.socket(&id, "logs?tail=1").await.map_err(|status| anyhow::anyhow!("logs: {status}"))?;
        socket.line("the last line").await.map_err(|closed| anyhow::anyhow!("logs: {closed:?}"))?;
        followers.push(socket);
    }
    let each = (resident_kib(pid)? - before) / FOLLOWERS as f64;
    let per = |ticks: u64| format!("{:.1} ms", ticks as f64 * 10.0 / ROUNDS as f64);
    let megabytes = LINES * WIDTH / 1_000_000;
    Ok(vec![
        Row::timed(&format!("log: {LINES} lines followed"), &ours)
            .against("kubectl logs -f", &ours, &theirs)
            .note(format!("{megabytes} MB a round")),
        Row::figure("processor time a round", ROUNDS, per(our_ticks)).note(format!(
            "all of berthd; kubectl itself: {} (ratio {:.2})",
            per(their_ticks),
            our_ticks as f64 / their_ticks.max(1) as f64
        )),
        Row::figure("berthd's memory per follower", FOLLOWERS, format!("{each:.0} KiB"))
            .note(format!("kubectl logs -f: {their_memory:.0} KiB (ratio {:.3})", each / their_memory)),
    ])
}

/// Prints the lines, then `last`.
async fn flood(namespace: &str, last: &str) -> anyhow::Result<()> {
    let wide = format!("%0{}.0f", WIDTH - 1);
    let line = format!("{{ seq -f '{wide}' 1 {LINES}; echo {last}; }} > /proc/1/fd/1");
    kubectl::sh(namespace, &line).await.context("printing many lines").map(drop)
}

async fn kubectl_follows(namespace: &str) -> anyhow::Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut command =
        kubectl::command(&["-n", namespace, "logs", "-f", "--tail=1", "--timestamps", "-c", "main", "machine-0"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
    lines.next_line().await?.context("kubectl logs ended")?;
    Ok((child, lines))
}

async fn until(lines: &mut Lines<BufReader<ChildStdout>>, last: &str) -> anyhow::Result<usize> {
    let mut count = 0;
    loop {
        let line = lines.next_line().await?.context("kubectl logs ended")?;
        count += 1;
        if line.ends_with(last) {
            return Ok(count);
        }
    }
}
