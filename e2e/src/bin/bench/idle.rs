//! Memory of what is open and does nothing: SSH sessions, kept HTTP connections and WebSockets, against sshd and nginx. Of memory
//! that processes share each has its part.

use std::net::{SocketAddr, SocketAddrV4};
use std::process::Stdio;

use anyhow::Context;
use berth_core::id::ContainerId;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::cluster::Cluster;
use crate::gateway::Gateway;
use crate::http::answers;
use crate::machine::{name, pod_processes, proportional_kib, tree};
use crate::peers::{nginx, sshd};
use crate::place::{NAMED, Place, at_a_place};
use crate::routes;
use crate::table::{Row, Samples};

const SESSIONS: usize = 100;
const CONNECTIONS: usize = 2_000;
const AT_ONCE: usize = 10;
/// Beyond the numbers of the routes that are made for others.
const NUMBER: u64 = 1 << 32;

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let mut rows = at_a_place(cluster, 50, sessions).await?;
    rows.extend(connections(cluster).await?);
    Ok(rows)
}

/// Each over a connection of its own.
async fn sessions(place: &Place) -> anyhow::Result<Vec<Row>> {
    let agents =
        || total(&pod_processes(&place.pod)?.into_iter().filter(|pid| name(*pid) == "berth-agent").collect::<Vec<_>>());
    let gateway = || proportional_kib(place.gateway);
    let sshds = || total(&tree(place.peer.pid())?.into_iter().filter(|pid| name(*pid) == "sshd").collect::<Vec<_>>());
    let before = (gateway()?, agents()?, sshds()?);
    // Whatever else a session starts, a shell above all, is there on both sides.
    let ours = sessions_to(place, NAMED).await?;
    let after = (gateway()?, agents()?);
    drop(ours);
    let _theirs = sessions_to(place, sshd::HOST).await?;
    let theirs = sshds()? - before.2;
    let (gateway, agents) = (after.0 - before.0, after.1 - before.1);
    Ok(vec![
        each("idle SSH session: memory of the gateway", gateway, "sshd", theirs, SESSIONS),
        each("idle SSH session: memory of gateway and agent", gateway + agents, "sshd", theirs, SESSIONS),
    ])
}

async fn sessions_to(place: &Place, host: &str) -> anyhow::Result<Vec<Child>> {
    let one = async |_number| {
        let mut ssh = Command::from(place.ssh(&[host, "echo open; exec sleep 1000"]));
        let mut ssh = ssh.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().context("ssh")?;
        let mut line = String::new();
        BufReader::new(ssh.stdout.as_mut().context("a pipe")?).read_line(&mut line).await?;
        anyhow::ensure!(line == "open\n", "a session of {host} said {line:?}");
        Ok(ssh)
    };
    stream::iter(0..SESSIONS).map(one).buffer_unordered(AT_ONCE).try_collect().await
}

async fn connections(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    // All come from one address.
    let gateway = Gateway::start(&[("BERTH_GATEWAY__MAX_CONNECTIONS_PER_ADDRESS", "10000")]).await?;
    let listener = TcpListener::bind((cluster.own_address().await?, 0)).await?;
    let upstream = match listener.local_addr()? {
        SocketAddr::V4(address) => address,
        other @ SocketAddr::V6(_) => anyhow::bail!("{other} is of the other family"),
    };
    tokio::spawn(serve(listener));
    let ids = routes::make(&cluster.client(), NUMBER..NUMBER + 1, upstream).await?;
    let id = *ids.first().context("a route")?;
    let (peer, theirs) = nginx::proxy(&ids, upstream).await?;
    let ours = SocketAddrV4::new(gateway.replica.address, 80);
    answers(ours, id).await;
    answers(theirs, id).await;
    let mut rows = Vec::new();
    for (what, more) in [
        ("idle HTTP connection: memory", ""),
        ("idle WebSocket: memory", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    ] {
        let [ours, theirs] = [(gateway.pid(), ours), (peer.pid(), theirs)].map(async |(pid, address)| {
            let before = total(&tree(pid)?)?;
            let _open = open(address, id, more).await.with_context(|| format!("connections to {address}"))?;
            anyhow::Ok(total(&tree(pid)?)? - before)
        });
        let (ours, theirs) = (ours.await?, theirs.await?);
        rows.push(each(what, ours, "nginx", theirs, CONNECTIONS));
    }
    Ok(rows)
}

async fn open(address: SocketAddrV4, id: ContainerId, more: &str) -> anyhow::Result<Vec<TcpStream>> {
    let ask = format!("GET / HTTP/1.1\r\nHost: {}\r\n{more}\r\n", routes::hostname(id));
    let one = async |_number| {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(ask.as_bytes()).await?;
        let head = head(&mut stream).await?;
        anyhow::ensure!(["HTTP/1.1 200", "HTTP/1.1 101"].iter().any(|good| head.starts_with(good)), "{head}");
        Ok(stream)
    };
    stream::iter(0..CONNECTIONS).map(one).buffer_unordered(AT_ONCE).try_collect().await
}

/// Answers each request with nothing, or goes over to saying nothing where that is asked for.
async fn serve(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            while let Ok(head) = head(&mut stream).await {
                let answer = if head.to_ascii_lowercase().contains("\r\nupgrade:") {
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
                } else {
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                };
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

async fn head(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await?;
        anyhow::ensure!(read > 0, "a connection ended");
        head.extend_from_slice(&buffer[..read]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn total(pids: &[u32]) -> anyhow::Result<f64> {
    pids.iter().map(|pid| proportional_kib(*pid)).sum()
}

fn each(what: &str, ours: f64, peer: &str, theirs: f64, count: usize) -> Row {
    let [ours, theirs] = [ours, theirs].map(|kib| {
        let mut one = Samples::default();
        one.push_value(kib / count as f64);
        one
    });
    Row::measured(what, "KiB", &ours).against(peer, &ours, &theirs).note(format!("of {count}"))
}
