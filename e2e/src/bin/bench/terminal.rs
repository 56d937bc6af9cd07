//! A key pressed in a terminal until it is back, against `kubectl exec -it` in the same container, turn by turn. Both speak to a
//! program that gives back what it reads, through a terminal in raw mode. `script` gives kubectl the terminal that it asks for,
//! and costs it some microseconds.

use anyhow::Context;
use berth_e2e::berthd::{Berthd, User};
use berth_e2e::kubectl;
use berth_e2e::streams::Socket;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::cluster::Cluster;
use crate::create::clear;
use crate::program::{DEADLINE, ECHO, Program, THERE};
use crate::table::{Row, Samples};

const ROUNDS: usize = 10;
const KEYS: usize = 50;

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let berthd = Berthd::start().await;
    let ann = berthd.user(45, "ann");
    let measured = echoes(&ann).await;
    clear(cluster, &ann).await?;
    measured
}

async fn echoes(ann: &User<'_>) -> anyhow::Result<Vec<Row>> {
    let id = ann.create("one").await;
    ann.settled(&id, "running").await;
    let (mut open, mut peer_open) = (Samples::default(), Samples::default());
    let (mut ours, mut theirs) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut socket = berths(ann, &id).await?;
        open.push(begun.elapsed());
        let begun = Instant::now();
        let mut kubectl = kubectls(&ann.namespace(&id)).await?;
        peer_open.push(begun.elapsed());
        for key in ["a", "b"].repeat(KEYS / 2) {
            let begun = Instant::now();
            socket.type_in(key).await;
            timeout(DEADLINE, socket.shows(key)).await.context("gave up waiting for a key in Berth's terminal")?;
            ours.push(begun.elapsed());
            let begun = Instant::now();
            kubectl.key(key).await.context("kubectl's terminal")?;
            theirs.push(begun.elapsed());
        }
        kubectl.end().await?;
    }
    Ok(vec![
        Row::timed("terminal: a key and its echo", &ours).against("kubectl exec -it", &ours, &theirs),
        Row::timed("terminal opened → its program speaks", &open).against("kubectl exec -it", &open, &peer_open),
    ])
}

async fn berths(ann: &User<'_>, id: &str) -> anyhow::Result<Socket> {
    let command: String = url::form_urlencoded::byte_serialize(ECHO.as_bytes()).collect();
    let opened = ann.socket(id, &format!("terminal?command={command}")).await;
    let mut socket = opened.map_err(|status| anyhow::anyhow!("the terminal: {status}"))?;
    socket.shows(&format!("{THERE}\n")).await;
    Ok(socket)
}

async fn kubectls(namespace: &str) -> anyhow::Result<Program> {
    let exec = ["-n", namespace, "exec", "-it", "-c", "main", "machine-0", "--", "sh", "-c"];
    let words = kubectl::words(&exec).join(" ");
    let line = format!("exec {words} '{ECHO}'");
    let mut command = Command::new("script");
    command.args(["--quiet", "--flush", "--echo", "never", "--command", &line, "/dev/null"]);
    Program::open(command).await
}
