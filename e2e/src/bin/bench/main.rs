//! `make bench`: figures as ratios against a peer of the same run, because the same machine is never equally busy twice.
//! Prints a table and judges nothing. Rows are chosen by name; the default is all.

mod cluster;
mod create;
mod list;
mod logs;
mod machine;
mod sockets;
mod stop;
mod table;
mod terminal;

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
}

impl Measurement {
    const ALL: [Self; 6] = [Self::Create, Self::Stop, Self::List, Self::Sockets, Self::Logs, Self::Terminal];

    async fn rows(self, cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Create => create::rows(cluster).await.context("create"),
            Self::Stop => stop::rows(cluster).await.context("stop"),
            Self::List => list::rows().await.context("list"),
            Self::Sockets => sockets::rows(cluster).await.context("sockets"),
            Self::Logs => logs::rows(cluster).await.context("logs"),
            Self::Terminal => terminal::rows(cluster).await.context("terminal"),
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
            _ => anyhow::bail!("there is no row {name}; there are create, stop, list, sockets, logs and terminal"),
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
