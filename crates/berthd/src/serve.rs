//! Wires the parts together and runs them until a signal asks to stop.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use berth_api::Api;
use berth_cluster::{Controller, PodIo};
use berth_gateway::{Gateway, Keys};
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use crate::images::Registry;
use crate::metrics;
use crate::platform::Cluster;

/// How long open requests may take after a signal.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) async fn all(config: Config) -> anyhow::Result<()> {
    log();
    let types = config.instance_types()?;
    let gateway = match &config.gateway.keys {
        Some(_) => Some(bind_gateway(&config).await?),
        None => None,
    };
    let images = Arc::new(Registry::new(&config)?);
    let store = berth_store::open(&config.database.url).await.context("opening the database")?;
    let changed =
        store.settle_addresses(&config.gateway.dedicated).await.context("giving containers their addresses")?;
    if changed > 0 {
        tracing::info!(containers = changed, "containers have other addresses now: gateway.dedicated changed");
    }
    let client = berth_cluster::connect(config.kubeconfig.as_deref()).await.context("reading the kubeconfig")?;
    let pods = PodIo::new(client.clone(), store.clone());
    let to_gateway = client.clone();
    let controller =
        Arc::new(Controller::new(client, store.clone(), config.cluster, types.clone(), config.api.domain.clone()));
    let mut api = config.api;
    if gateway.is_some() {
        trust_gateway(&mut api.trusted_proxies, config.server.listen, config.gateway.api);
    }
    let api = Api::new(store, api, types, Arc::new(Cluster { health: controller.health(), pods }), images);
    let listener = bind(config.server.listen).await?;
    let metrics_listener = bind(config.server.metrics_listen).await?;
    let recorder = metrics::install()?;
    let stop = api.stopping();
    tracing::info!(listen = %listener.local_addr()?, metrics = %metrics_listener.local_addr()?, "berthd serves");

    let parts = async {
        tokio::try_join!(
            until_stopped(&stop, "controller", controller.run(stop.clone())),
            until_stopped(&stop, "api", serve(listener, berth_api::router(api), stop.clone())),
            until_stopped(&stop, "gateway", run_gateway(gateway, to_gateway, stop.clone())),
            until_stopped(&stop, "metrics", serve(metrics_listener, metrics::router(recorder), stop.clone())),
            stop_on_signal(&stop),
        )
    };
    tokio::select! {
        ended = parts => ended.map(drop),
        () = grace_is_over(&stop) => Ok(()),
    }
}

/// The gateway alone: everything it serves, it learns by watching.
pub(crate) async fn gateway(config: Config) -> anyhow::Result<()> {
    log();
    let gateway = bind_gateway(&config).await?;
    let client = berth_cluster::connect(config.kubeconfig.as_deref()).await.context("reading the kubeconfig")?;
    let metrics_listener = bind(config.server.metrics_listen).await?;
    let recorder = metrics::install()?;
    let stop = CancellationToken::new();
    let parts = async {
        tokio::try_join!(
            until_stopped(&stop, "gateway", run_gateway(Some(gateway), client, stop.clone())),
            until_stopped(&stop, "metrics", serve(metrics_listener, metrics::router(recorder), stop.clone())),
            stop_on_signal(&stop),
        )
    };
    tokio::select! {
        ended = parts => ended.map(drop),
        () = grace_is_over(&stop) => Ok(()),
    }
}

/// The gateway of this process says whom it asks for, as a trusted proxy does. Its connections come from the address that the
/// API listens on, as nobody's but this machine's own can. Gateways elsewhere are in `api.trusted_proxies`.
fn trust_gateway(trusted: &mut Vec<IpNet>, listen: SocketAddr, elsewhere: Option<SocketAddr>) {
    if elsewhere.is_none() {
        trusted.push(own_api(listen).ip().into());
    }
}

/// How this machine itself reaches what listens on an address.
fn own_api(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn bind_gateway(config: &Config) -> anyhow::Result<Gateway> {
    let folder = config.gateway.keys.as_deref().context("gateway.keys names no folder; berthd init fills it")?;
    let keys = Keys::load(folder).context("the gateway's keys (berthd init makes them)")?;
    let api = config.gateway.api.unwrap_or_else(|| own_api(config.server.listen));
    let settings = berth_gateway::Config { api: Some(api), ..config.gateway.clone() };
    Ok(Gateway::bind(settings, keys, &config.api.domain).await?)
}

async fn run_gateway(
    gateway: Option<Gateway>,
    client: berth_gateway::Client,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    match gateway {
        Some(gateway) => gateway.run(client, stop).await,
        None => stop.cancelled().await,
    }
    Ok(())
}

/// A client that keeps its socket open must not keep the daemon: every intent is in its row already.
async fn grace_is_over(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

#[allow(clippy::print_stdout, reason = "the report is this command's output")]
pub(crate) async fn preflight(config: &Config) -> anyhow::Result<()> {
    log();
    let client = berth_cluster::connect(config.kubeconfig.as_deref()).await.context("reading the kubeconfig")?;
    let report = berth_cluster::preflight(&client, &config.cluster).await?;
    println!("{report}");
    anyhow::ensure!(report.passed(), "this cluster cannot run Berth's containers as configured");
    Ok(())
}

fn log() {
    // The DNS server would write two lines for every question that anybody asks.
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new("info,hickory_server=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
}

async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> anyhow::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await.context("serving")
}

/// When one part ends, all do: half a daemon would look alive.
async fn until_stopped<E: Into<anyhow::Error>>(
    stop: &CancellationToken,
    name: &'static str,
    part: impl Future<Output = Result<(), E>>,
) -> anyhow::Result<()> {
    let ended = part.await.map_err(Into::into).context(name);
    stop.cancel();
    ended
}

async fn stop_on_signal(stop: &CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stop.cancelled() => {}
    }
    stop.cancel();
    Ok(())
}
