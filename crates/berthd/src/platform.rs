//! What the API asks of the cluster, answered by the cluster's crate.

use async_trait::async_trait;
use berth_api::pod_io::{Lines, Terminal};
use berth_api::{Platform, PodIo};
use berth_cluster::Health;
use berth_core::container::Container;
use berth_core::instance::Arch;
use berth_core::logs::LogQuery;
use berth_core::pod_io::Unreachable;
use berth_core::terminal::TerminalCommand;

pub(crate) struct Cluster {
    pub(crate) health: Health,
    pub(crate) pods: berth_cluster::PodIo,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("health", &self.health).finish_non_exhaustive()
    }
}

impl Platform for Cluster {
    fn architectures(&self) -> Vec<Arch> {
        self.health.architectures()
    }

    fn ready(&self) -> Result<(), String> {
        self.health.ready()
    }
}

#[async_trait]
impl PodIo for Cluster {
    async fn logs(&self, container: &Container, query: LogQuery) -> Result<Lines, Unreachable> {
        self.pods.logs(container, query).await
    }

    async fn terminal(&self, container: &Container, command: Option<TerminalCommand>) -> Result<Terminal, Unreachable> {
        let berth_cluster::pod_io::Terminal { input, output } = self.pods.terminal(container, command).await?;
        Ok(Terminal { input, output })
    }
}
