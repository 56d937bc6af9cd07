//! Full TLS 1.3 handshakes with the gateway and with nginx, turn by turn: the same certificate of a key on P-256, X25519, nothing
//! resumed. A handshake is over when the server has closed, so that all its work is counted.

use std::io::Read;
use std::net::{Shutdown, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use berth_e2e::until;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::certificate::Certificate;
use crate::gateway::Gateway;
use crate::machine::tree_ticks;
use crate::peers::{nginx, run_as_load};
use crate::table::{Row, Samples};

const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(4);
const NAME: &str = "bench.compute.berth.local";

pub(crate) async fn rows() -> anyhow::Result<Vec<Row>> {
    let certificate = Certificate::make().await?;
    let (chain, key) = (certificate.chain.display().to_string(), certificate.key.display().to_string());
    let settings = [("BERTH_GATEWAY__CERTIFICATE", &*chain), ("BERTH_GATEWAY__CERTIFICATE_KEY", &*key)];
    let gateway = Gateway::start(&settings).await?;
    let (peer, theirs) = nginx::https(&certificate).await?;
    let ours = SocketAddrV4::new(gateway.replica.address, 443);
    let mut client = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(certificate.trusted()?)
        .with_no_client_auth();
    client.resumption = Resumption::disabled();
    let client = Arc::new(client);
    for address in [ours, theirs] {
        let shakes = || std::future::ready(handshake(address, &client).ok());
        until(&format!("a handshake with {address}"), 30, shakes).await;
    }

    let mut turns = [(); 2].map(|()| (Samples::default(), Samples::default()));
    for _ in 0..ROUNDS {
        for ((pid, address), (processor, taken)) in
            [(gateway.pid(), ours), (peer.pid(), theirs)].into_iter().zip(&mut turns)
        {
            let before = tree_ticks(pid)?;
            let client = client.clone();
            let times = thread::spawn(move || handshakes(address, &client));
            let times = tokio::task::spawn_blocking(move || times.join()).await?;
            let times = times.ok().context("a client panicked")??;
            let ticks = tree_ticks(pid)? - before;
            processor.push_value(ticks as f64 * 10_000.0 / times.len() as f64);
            times.into_iter().for_each(|time| taken.push_value(time.as_secs_f64() * 1e6));
        }
    }
    let [(ours, our_times), (theirs, their_times)] = &turns;
    Ok(vec![
        Row::measured("TLS full handshake: CPU", "µs", ours)
            .against("nginx", ours, theirs)
            .note("aim 0.60; two fifths are the kernel's, for the connection".to_owned()),
        Row::measured("TLS full handshake: one after the other", "µs", our_times)
            .against("nginx", our_times, their_times)
            .note("the client's work included".to_owned()),
    ])
}

fn handshakes(address: SocketAddrV4, client: &Arc<ClientConfig>) -> anyhow::Result<Vec<Duration>> {
    run_as_load()?;
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < TIME {
        times.push(handshake(address, client).with_context(|| format!("a handshake with {address}"))?);
    }
    Ok(times)
}

fn handshake(address: SocketAddrV4, client: &Arc<ClientConfig>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut connection = ClientConnection::new(client.clone(), ServerName::try_from(NAME)?)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    let taken = begun.elapsed();
    connection.send_close_notify();
    while connection.wants_write() {
        connection.write_tls(&mut stream)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let (mut rest, mut buffer) = (stream, [0; 4096]);
    while rest.read(&mut buffer)? > 0 {}
    Ok(taken)
}
