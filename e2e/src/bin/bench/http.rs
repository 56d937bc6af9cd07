//! Small requests over plain HTTP through the gateway, against nginx as a reverse proxy to the same server, turn by turn: with one
//! route and with ten thousand, of which a few are asked for. Both are given one core and more load than it takes.

use std::net::SocketAddrV4;

use anyhow::Context;
use berth_core::id::ContainerId;
use berth_e2e::until;
use reqwest::header::HOST;
use tempfile::NamedTempFile;
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::gateway::Gateway;
use crate::machine::{resident_kib, tree, tree_ticks};
use crate::peers::{LOAD, Peer, free_port, nginx, pinned};
use crate::routes;
use crate::table::{Row, Samples};

const ROUNDS: usize = 5;
const COUNTS: [usize; 2] = [1, 10_000];
/// Spread over all routes. Connections to pods are never shared between containers, so each keeps its own; and a connection that
/// asks for another container every time is recorded anew for each.
const ASKED: usize = 16;
const CONNECTIONS: &str = "64";
const WARM: &str = "1s";
const TIME: &str = "5s";

/// What one turn came to, in microseconds.
struct Turn {
    processor: f64,
    p50: f64,
    p99: f64,
}

#[derive(Default)]
struct Turns {
    processor: Samples,
    p50: Samples,
    p99: Samples,
}

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let address = SocketAddrV4::new(cluster.own_address().await?, free_port()?);
    let _upstream = nginx::upstream(address).await.context("the server behind both")?;
    let gateway = Gateway::start(&[]).await?;
    let (mut ids, mut rows) = (Vec::new(), Vec::new());
    for count in COUNTS {
        let more = routes::make(&cluster.client(), ids.len() as u64..count as u64, address).await;
        ids.extend(more.context("making routes")?);
        rows.extend(with(&gateway, &ids, address).await.with_context(|| format!("{count} routes"))?);
    }
    Ok(rows)
}

async fn with(gateway: &Gateway, ids: &[ContainerId], upstream: SocketAddrV4) -> anyhow::Result<Vec<Row>> {
    let asked: Vec<ContainerId> = ids.iter().step_by(ids.len().div_ceil(ASKED)).copied().collect();
    let ours = SocketAddrV4::new(gateway.replica.address, 80);
    let (peer, theirs) = nginx::proxy(ids, upstream).await?;
    // The last ones that were made are the last that the gateway learns of.
    let last = ids.iter().rev().take(ASKED * 4);
    for id in asked.iter().chain(last) {
        answers(ours, *id).await;
        answers(theirs, *id).await;
    }
    let script = script(&asked)?;
    let sides = [(gateway.pid(), ours), (peer.pid(), theirs)];
    for (_, address) in sides {
        wrk(address, &script, WARM).await?;
    }
    let mut turns = [Turns::default(), Turns::default()];
    for _ in 0..ROUNDS {
        for ((pid, address), turns) in sides.iter().zip(&mut turns) {
            let turn = turn(*pid, *address, &script).await?;
            turns.processor.push_value(turn.processor);
            turns.p50.push_value(turn.p50);
            turns.p99.push_value(turn.p99);
        }
    }
    let [ours, theirs] = &turns;
    let name = |what: &str| format!("HTTP, {} routes: {what}", ids.len());
    let row = |what: &str, ours: &Samples, theirs: &Samples| {
        Row::measured(&name(what), "µs", ours).against("nginx", ours, theirs)
    };
    Ok(vec![
        row("CPU a request", &ours.processor, &theirs.processor)
            .note("aim 1.00; two thirds are the kernel's TCP, the rest is flat over hyper and tokio".to_owned()),
        row("p50", &ours.p50, &theirs.p50).note(format!("{CONNECTIONS} connections that ask without a pause")),
        row("p99", &ours.p99, &theirs.p99),
        memory(&name("memory"), gateway, &peer)?,
    ])
}

fn memory(name: &str, gateway: &Gateway, peer: &Peer) -> anyhow::Result<Row> {
    let theirs = tree(peer.pid())?.into_iter().map(resident_kib).sum::<anyhow::Result<f64>>()?;
    let ours = resident_kib(gateway.pid())?;
    let row = Row::figure(name, 1, format!("{:.0} MiB", ours / 1024.0));
    Ok(row.note(format!("nginx, master and worker: {:.0} MiB", theirs / 1024.0)))
}

pub(crate) async fn answers(address: SocketAddrV4, id: ContainerId) {
    let client = reqwest::Client::new();
    let get = async || {
        let answer = client.get(format!("http://{address}/")).header(HOST, routes::hostname(id)).send().await.ok()?;
        answer.status().is_success().then_some(())
    };
    until(&format!("{id} to answer at {address}"), 120, get).await;
}

/// One of the names after the other; at the end: how many were answered, how many not well, p50 and p99.
fn script(ids: &[ContainerId]) -> anyhow::Result<NamedTempFile> {
    let hosts: Vec<String> = ids.iter().map(|id| format!("{:?}", routes::hostname(*id))).collect();
    let script = format!(
        "local asks, at = {{}}, 0\n\
         function init()\nfor i, host in ipairs({{ {} }}) do asks[i] = wrk.format('GET', '/', {{ Host = host }}) end\nend\n\
         function request()\nat = at % #asks + 1\nreturn asks[at]\nend\n\
         function done(all, latency)\nlocal e = all.errors\n\
         print('told', all.requests, e.connect + e.read + e.write + e.status + e.timeout, \
         latency:percentile(50), latency:percentile(99))\nend\n",
        hosts.join(", ")
    );
    let file = NamedTempFile::new()?;
    std::fs::write(file.path(), script)?;
    Ok(file)
}

/// How many were answered, p50 and p99.
async fn wrk(address: SocketAddrV4, script: &NamedTempFile, time: &str) -> anyhow::Result<[f64; 3]> {
    let url = format!("http://{address}/");
    let mut command = pinned(LOAD, &["wrk", "-t1", "-c", CONNECTIONS, "-d", time, "--latency", "-s"]);
    command.arg(script.path()).arg(url);
    let output = Command::from(command).output().await.context("wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let told = text.lines().find_map(|line| line.strip_prefix("told\t"));
    let words = told.with_context(|| format!("wrk: {text} {}", String::from_utf8_lossy(&output.stderr)))?;
    let numbers: Vec<f64> = words.split('\t').map(str::parse).collect::<Result<_, _>>()?;
    let [count, errors, p50, p99] = numbers[..] else { anyhow::bail!("wrk said {words}") };
    anyhow::ensure!(errors == 0.0, "{errors} of {count} requests to {address} were not answered well");
    Ok([count, p50, p99])
}

async fn turn(pid: u32, address: SocketAddrV4, script: &NamedTempFile) -> anyhow::Result<Turn> {
    let before = tree_ticks(pid)?;
    let [count, p50, p99] = wrk(address, script, TIME).await?;
    let ticks = tree_ticks(pid)? - before;
    Ok(Turn { processor: ticks as f64 * 10_000.0 / count, p50, p99 })
}
