//! Raw TCP from a server to a client through the gateway and through HAProxy, turn by turn. Either splices. The gateway is a
//! whole berthd here, at rest but for this.

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use berth_e2e::berthd::Berthd;
use berth_e2e::until;

use crate::cluster::Cluster;
use crate::machine::tree_ticks;
use crate::peers::{SERVER, free_port, haproxy, run_as_load};
use crate::routes;
use crate::table::{Row, Samples};

const ROUNDS: usize = 7;
const GIB: usize = 1 << 30;
const BLOCK: usize = 1 << 18;

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let source = SocketAddrV4::new(cluster.own_address().await?, free_port()?);
    serve(source)?;
    let mut berthd = Berthd::configured();
    let [own, _] = berthd.add_dedicated();
    berthd.launch().await;
    let pid = berthd.pid().context("berthd does not run")?;
    let pinned =
        Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", SERVER, &pid.to_string()]).output()?;
    anyhow::ensure!(pinned.status.success(), "taskset: {pinned:?}");
    routes::make_raw(&cluster.client(), own, source).await?;
    let (peer, theirs) = haproxy::relay(source).await?;
    let sides = [(pid, SocketAddr::new(own, routes::RAW)), (peer.pid(), SocketAddr::from(theirs))];
    for (_, address) in sides {
        let flows = async || read(address, BLOCK).await.ok();
        until(&format!("bytes to come through {address}"), 60, flows).await;
    }
    let mut turns = [(); 2].map(|()| (Samples::default(), Samples::default()));
    for _ in 0..ROUNDS {
        for ((pid, address), (processor, rate)) in sides.into_iter().zip(&mut turns) {
            let before = tree_ticks(pid)?;
            let taken = read(address, GIB).await?;
            processor.push_ms((tree_ticks(pid)? - before) as f64 * 10.0);
            rate.push_value(1024.0 / taken.as_secs_f64());
        }
    }
    let [(ours, our_rate), (theirs, their_rate)] = &turns;
    Ok(vec![
        Row::timed("TCP relay: CPU a GiB", ours)
            .against("HAProxy, splice-auto", ours, theirs)
            .note("aim 0.30".to_owned()),
        Row::measured("TCP relay: MiB a second", "", our_rate).against("HAProxy, splice-auto", our_rate, their_rate),
    ])
}

/// To everybody bytes without end, on the core of those who load.
fn serve(address: SocketAddrV4) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)?;
    thread::spawn(move || {
        run_as_load()?;
        for client in listener.incoming() {
            let mut client = client?;
            thread::spawn(move || while client.write_all(&[b'x'; BLOCK]).is_ok() {});
        }
        anyhow::Ok(())
    });
    Ok(())
}

/// How long so many bytes take.
async fn read(address: SocketAddr, bytes: usize) -> anyhow::Result<Duration> {
    let read = move || {
        run_as_load()?;
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        let (mut block, mut read) = (vec![0; BLOCK], 0);
        while read < bytes {
            let length = stream.read(&mut block)?;
            anyhow::ensure!(length > 0, "{address} ended after {read} bytes");
            read += length;
        }
        Ok(begun.elapsed())
    };
    // A thread of its own: the pool's are not to stay on one core.
    let reader = thread::spawn(read);
    let joined = tokio::task::spawn_blocking(move || reader.join()).await?;
    joined.ok().context("a reader panicked")?
}
