//! Reaches into running containers: their logs, and terminals in them. Namespace and pod are derived from the row, only
//! `main` is ever reached, and only while the namespace is the very one that was made for the row.

mod decoder;
mod exec;
mod logs;
mod main_container;
mod terminal;

use std::sync::Arc;

use berth_core::container::Container;
use berth_core::lifecycle::NamespaceState;
use berth_core::names::POD;
use berth_core::pod_io::Unreachable;
use berth_store::Store;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, Client};

use crate::observe;
use main_container::MainContainer;

pub use logs::Lines;
pub use terminal::{Input, Output, Terminal};

type Result<T> = std::result::Result<T, Unreachable>;

/// Cheap to clone.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the cluster's client has none")]
pub struct PodIo {
    client: Client,
    store: Arc<dyn Store>,
}

impl PodIo {
    pub fn new(client: Client, store: Arc<dyn Store>) -> Self {
        Self { client, store }
    }

    /// The tenant's container as the cluster has it now; `None` without a pod in the row's own namespace.
    async fn main_container(&self, row: &Container) -> Result<Option<MainContainer>> {
        let installation = self.store.installation().await.map_err(database)?;
        let name = row.names().namespace();
        let found = Api::<Namespace>::all(self.client.clone()).get_opt(&name).await.map_err(cluster)?;
        match observe::namespace_state(row, found.as_ref(), &installation) {
            // An unclaimed namespace has no pod yet.
            NamespaceState::Active { uid } if row.namespace_uid.as_ref() == Some(&uid) => {}
            NamespaceState::Active { .. }
            | NamespaceState::Absent
            | NamespaceState::Terminating { .. }
            | NamespaceState::Foreign => return Ok(None),
        }
        let pods = Api::<Pod>::namespaced(self.client.clone(), &name);
        Ok(pods.get_opt(POD).await.map_err(cluster)?.as_ref().map(MainContainer::of))
    }
}

/// Says which part of the cluster failed. Its own words hold addresses and accounts, and go to the log only.
fn cluster(error: kube::Error) -> Unreachable {
    let part = match &error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => {
            "berthd lacks a right there, which deploy/rbac.yaml gives"
        }
        kube::Error::Api(status) if status.code >= 500 => "the container's node does not answer",
        kube::Error::Api(_) => "its API server refused",
        _unanswered => "its API server does not answer",
    };
    tracing::warn!(error = &error as &dyn std::error::Error, "a container cannot be reached");
    Unreachable::Cluster(part.to_owned())
}

fn database(error: berth_store::Error) -> Unreachable {
    tracing::warn!(error = &error as &dyn std::error::Error, "a row cannot be read");
    Unreachable::Database
}
