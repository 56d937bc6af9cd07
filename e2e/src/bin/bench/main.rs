//! `make bench`: figures as ratios against a peer of the same run, because the same machine is never equally busy twice.
//! Prints a table and judges nothing. Rows are chosen by name; the default is all.

mod bulk;
mod certificate;
mod cluster;
mod create;
mod echo;
mod gateway;
mod http;
mod idle;
mod list;
mod login;
mod logs;
mod machine;
mod peers;
mod place;
mod program;
mod relay;
mod routes;
mod sockets;
mod stop;
mod table;
mod terminal;
mod tls;

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;

use crate::cluster::Cluster;
use crate::table::Row;

#[derive(Debug, Clone, Copy)]
enum Measurement {
    Create,
    Stop,
    List,
    Sockets,
    Logs,
    Terminal,
    Http,
    Tls,
    Relay,
    Login,
    Bulk,
    Echo,
    Idle,
}

impl Measurement {
    const ALL: [Self; 13] = [
        Self::Create,
        Self::Stop,
        Self::List,
        Self::Sockets,
        Self::Logs,
        Self::Terminal,
        Self::Tls,
        Self::Relay,
        Self::Login,
        Self::Bulk,
        Self::Echo,
        Self::Idle,
        // The last one: its ten thousand routes stay until the node goes.
        Self::Http,
    ];

    async fn rows(self, cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Create => create::rows(cluster).await.context("create"),
            Self::Stop => stop::rows(cluster).await.context("stop"),
            Self::List => list::rows().await.context("list"),
            Self::Sockets => sockets::rows(cluster).await.context("sockets"),
            Self::Logs => logs::rows(cluster).await.context("logs"),
            Self::Terminal => terminal::rows(cluster).await.context("terminal"),
            Self::Tls => tls::rows().await.context("tls"),
            Self::Relay => relay::rows(cluster).await.context("relay"),
            Self::Login => login::rows(cluster).await.context("login"),
            Self::Bulk => bulk::rows(cluster).await.context("bulk"),
            Self::Echo => echo::rows(cluster).await.context("echo"),
            Self::Idle => idle::rows(cluster).await.context("idle"),
            Self::Http => http::rows(cluster).await.context("http"),
        }
    }
}

impl FromStr for Measurement {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "create" => Self::Create,
            "stop" => Self::Stop,
            "list" => Self::List,
            "sockets" => Self::Sockets,
            "logs" => Self::Logs,
            "terminal" => Self::Terminal,
            "tls" => Self::Tls,
            "relay" => Self::Relay,
            "login" => Self::Login,
            "bulk" => Self::Bulk,
            "echo" => Self::Echo,
            "idle" => Self::Idle,
            "http" => Self::Http,
            _ => anyhow::bail!(
                "there is no row {name}; there are create, stop, list, sockets, logs, terminal, tls, relay, login, bulk, echo, \
                 idle and http"
            ),
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // The harness is test code and panics with a sentence: the sentence is enough.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("bench: {}", panic.payload_as_str().unwrap_or("a measurement failed"));
    }));
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "the table is this program's output")]
async fn run() -> anyhow::Result<()> {
    let named: Vec<Measurement> = std::env::args().skip(1).map(|name| name.parse()).collect::<anyhow::Result<_>>()?;
    let chosen = if named.is_empty() { Measurement::ALL.to_vec() } else { named };
    let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
    let cluster = Cluster::connect().await?;
    println!("{}\n{}", machine::describe(), table::head());
    for measurement in chosen {
        for row in measurement.rows(&cluster).await? {
            println!("{row}");
        }
    }
    println!("{}\n{}", machine::describe(), table::FOOT);
    Ok(())
}
