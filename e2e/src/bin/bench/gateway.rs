//! A gateway that is a process of its own, on one core, beside a berthd that takes its reports.

use anyhow::Context;
use berth_e2e::berthd::{Berthd, Replica};
use berth_e2e::kubectl;
use tempfile::TempDir;

use crate::peers::SERVER;

pub(crate) struct Gateway {
    pub(crate) replica: Replica,
    pub(crate) berthd: Berthd,
    _credentials: TempDir,
}

impl Gateway {
    pub(crate) async fn start(settings: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        let berthd = Berthd::start_with_gateway(settings).await;
        let folder = tempfile::tempdir().context("a folder for the gateway's credentials")?;
        let credentials = folder.path().join("kubeconfig");
        kubectl::credentials_of("berth-gateway", &credentials).await;
        let replica = berthd.replica_on(SERVER, &credentials);
        Ok(Self { replica, berthd, _credentials: folder })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.replica.pid()
    }
}
