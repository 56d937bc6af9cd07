//! A key pressed in a terminal until it is back, against `kubectl exec -it` in the same container, turn by turn. Both speak to a
//! program that gives back what it reads, through a terminal in raw mode. `script` gives kubectl the terminal that it asks for,
//! and costs it some microseconds.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use berth_e2e::berthd::{Berthd, User};
use berth_e2e::kubectl;
use berth_e2e::streams::Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use crate::cluster::Cluster;
use crate::create::clear;
use crate::table::{Row, Samples};

const ROUNDS: usize = 10;
const KEYS: usize = 50;
const ECHO: &str = "stty raw -echo; echo are-you-there; cat";
/// What the program says before it listens.
const THERE: &str = "are-you-there";
const DEADLINE: Duration = Duration::from_secs(60);

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
        let mut kubectl = Kubectl::open(&ann.namespace(&id)).await?;
        peer_open.push(begun.elapsed());
        for key in ["a", "b"].repeat(KEYS / 2) {
            let begun = Instant::now();
            socket.type_in(key).await;
            timeout(DEADLINE, socket.shows(key)).await.context("gave up waiting for a key in Berth's terminal")?;
            ours.push(begun.elapsed());
            let begun = Instant::now();
            timeout(DEADLINE, kubectl.key(key)).await.context("gave up waiting for a key in kubectl's terminal")??;
            theirs.push(begun.elapsed());
        }
        kubectl.process.kill().await?;
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

struct Kubectl {
    process: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Kubectl {
    async fn open(namespace: &str) -> anyhow::Result<Self> {
        let exec = ["-n", namespace, "exec", "-it", "-c", "main", "machine-0", "--", "sh", "-c"];
        let words = kubectl::words(&exec).join(" ");
        let line = format!("exec {words} '{ECHO}'");
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--echo", "never", "--command", &line, "/dev/null"]);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting script")?;
        let (input, output) = (process.stdin.take().context("a pipe")?, process.stdout.take().context("a pipe")?);
        let mut opened = Self { process, input, output };
        timeout(DEADLINE, opened.shows(&format!("{THERE}\n"))).await.context("gave up waiting for kubectl exec")??;
        Ok(opened)
    }

    async fn key(&mut self, key: &str) -> anyhow::Result<()> {
        self.input.write_all(key.as_bytes()).await?;
        self.input.flush().await?;
        self.shows(key).await
    }

    async fn shows(&mut self, text: &str) -> anyhow::Result<()> {
        let (mut shown, mut buffer) = (Vec::new(), [0; 1024]);
        while !String::from_utf8_lossy(&shown).contains(text) {
            let length = self.output.read(&mut buffer).await?;
            anyhow::ensure!(length > 0, "kubectl ended: {}", String::from_utf8_lossy(&shown));
            shown.extend_from_slice(&buffer[..length]);
        }
        Ok(())
    }
}
