//! Everything Kubernetes. One pass over a container is observe → decide → build → apply → record ([`reconcile`]); watches,
//! hints and a timer only wake it. `build` is pure; `apply` is the only module that writes.

mod apply;
mod build;
mod canary;
mod config;
mod controller;
mod disk;
mod error;
mod facts;
mod health;
mod memory;
mod news;
mod observe;
pub mod pod_io;
mod preflight;
mod pull_secret;
mod queue;
mod reconcile;
mod seen;
mod sweep;
mod watch;

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};

pub use config::{Config, ImageVolumes, Isolation, NetworkPolicies, Pulls, Ssh, UserNamespaces};
pub use controller::Controller;
pub use error::Error;
pub use health::Health;
pub use pod_io::PodIo;
pub use preflight::{Report, preflight};

pub type Result<T> = std::result::Result<T, Error>;

/// A client from `kubeconfig`, or else from `KUBECONFIG` or the pod's own credentials.
///
/// # Errors
/// [`Error::Credentials`] when they cannot be read.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<kube::Client> {
    let config = match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path)?;
            kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?
        }
        None => kube::Config::infer().await.map_err(|error| Error::Credentials(error.to_string()))?,
    };
    Ok(kube::Client::try_from(config)?)
}
