//! Zeros through SSH, in both directions: through the gateway, which decrypts and encrypts again, and by ProxyJump, which it only
//! hands on, against sshd directly, turn by turn.

use std::process::{self, Stdio};
use std::time::Instant;

use anyhow::Context;
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::peers::{LOAD, pinned, sshd};
use crate::place::{CHACHA, GCM, JUMP, NAMED, Place, Spent, at_a_place};
use crate::table::{Row, Samples};

const ROUNDS: usize = 5;
const MIB: usize = 128;

#[derive(Debug, Clone, Copy)]
enum Direction {
    Down,
    Up,
}

/// What one turn of a host came to.
#[derive(Default)]
struct Turns {
    /// MiB a second.
    speed: Samples,
    /// Seconds a GiB: the gateway's, and with the pod's; of sshd both are its own.
    gateway: Samples,
    whole: Samples,
}

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    at_a_place(cluster, 47, async |place| {
        let mut rows = Vec::new();
        for direction in [Direction::Down, Direction::Up] {
            rows.extend(measure(place, direction).await?);
        }
        Ok(rows)
    })
    .await
}

async fn measure(place: &Place, direction: Direction) -> anyhow::Result<Vec<Row>> {
    // ProxyJump's first connection takes its cipher from the client's settings, so it is measured with that one alone.
    let ways = [(NAMED, GCM), (JUMP, GCM), (sshd::HOST, GCM), (NAMED, CHACHA), (sshd::HOST, CHACHA)];
    let mut turns = ways.map(|_| Turns::default());
    for _ in 0..ROUNDS {
        for ((host, cipher), turns) in ways.iter().zip(&mut turns) {
            turn(place, direction, host, cipher, turns).await.with_context(|| format!("{host}, {cipher}"))?;
        }
    }
    let [named, jump, peer, named_chacha, peer_chacha] = &turns;
    let where_to = match direction {
        Direction::Down => "down",
        Direction::Up => "up",
    };
    let row = |what: &str, unit, pick: fn(&Turns) -> &Samples, ours: &Turns, theirs: &Turns, note: &str| {
        Row::measured(&format!("SSH {where_to}: {what}"), unit, pick(ours))
            .against("sshd", pick(ours), pick(theirs))
            .note(note.to_owned())
    };
    Ok(vec![
        row("CPU of the gateway, a GiB", "s", |t| &t.gateway, named, peer, GCM),
        row("CPU of gateway and pod, a GiB", "s", |t| &t.whole, named, peer, GCM),
        row(
            "speed",
            "MiB/s",
            |t| &t.speed,
            named,
            peer,
            "aim 1.20; client, gateway and agent share two cores, where sshd's two ends have one each",
        ),
        row("CPU of the gateway, a GiB, jump", "s", |t| &t.gateway, jump, peer, GCM),
        row("speed by ProxyJump", "MiB/s", |t| &t.speed, jump, peer, "the client encrypts twice"),
        row("CPU of the gateway, a GiB", "s", |t| &t.gateway, named_chacha, peer_chacha, CHACHA),
        row("speed", "MiB/s", |t| &t.speed, named_chacha, peer_chacha, CHACHA),
    ])
}

async fn turn(place: &Place, direction: Direction, host: &str, cipher: &str, turns: &mut Turns) -> anyhow::Result<()> {
    let cipher = format!("Ciphers={cipher}");
    let before = place.spent().await?;
    let begun = Instant::now();
    match direction {
        Direction::Down => {
            let mut ssh = place.ssh(&["-o", &cipher, host, &format!("head -c {MIB}M /dev/zero")]);
            ssh.stdin(Stdio::null()).stdout(Stdio::null());
            ends_well(ssh).await?;
        }
        Direction::Up => {
            let mut source = pinned(LOAD, &["head", "-c", &format!("{MIB}M"), "/dev/zero"]);
            let mut source = source.stdout(Stdio::piped()).spawn().context("head")?;
            let zeros = source.stdout.take().context("a pipe")?;
            let mut ssh = place.ssh(&["-o", &cipher, host, "cat >/dev/null"]);
            ssh.stdin(zeros);
            ends_well(ssh).await?;
            source.wait()?;
        }
    }
    let taken = begun.elapsed();
    let Spent { gateway, pod, peer } = place.spent().await?.since(before);
    let a_gib = |micros: f64| micros / 1e6 * 1024.0 / MIB as f64;
    turns.speed.push_value(MIB as f64 / taken.as_secs_f64());
    let theirs = host == sshd::HOST;
    turns.gateway.push_value(a_gib(if theirs { peer } else { gateway }));
    turns.whole.push_value(a_gib(if theirs { peer } else { gateway + pod }));
    Ok(())
}

async fn ends_well(ssh: process::Command) -> anyhow::Result<()> {
    let status = Command::from(ssh).status().await.context("ssh")?;
    anyhow::ensure!(status.success(), "ssh: {status}");
    Ok(())
}
