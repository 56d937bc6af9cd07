//! Says in plain words what a cluster lacks.

use std::fmt;

use berth_route::Route;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::ListParams;
use kube::{Api, Client, Resource};

use crate::config::{NetworkPolicies, UserNamespaces};
use crate::{Config, ImageVolumes, Result, canary, facts};

#[derive(Debug, Clone)]
struct Check {
    name: &'static str,
    outcome: Outcome,
    words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Ok,
    Warning,
    Failed,
}

/// One line a check.
#[derive(Debug, Clone)]
pub struct Report(Vec<Check>);

impl Report {
    /// Whether containers can be started.
    pub fn passed(&self) -> bool {
        self.0.iter().all(|check| check.outcome != Outcome::Failed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, outcome, words } in &self.0 {
            let mark = match outcome {
                Outcome::Ok => "ok     ",
                Outcome::Warning => "warning",
                Outcome::Failed => "FAILED ",
            };
            writeln!(f, "{mark} {name}: {words}")?;
        }
        Ok(())
    }
}

/// # Errors
/// When the cluster does not answer, or the canary cannot be run.
pub async fn preflight(client: &Client, config: &Config) -> Result<Report> {
    let mut checks = vec![storage(client, config).await?, metrics(client).await?, routes(client).await?];
    checks.push(match (facts::read(client, config).await?.image_volumes, config.image_volumes) {
        (true, ImageVolumes::Auto) => check("image volumes", Outcome::Ok, "disks are filled while the container starts"),
        (_, ImageVolumes::Never) => {
            check("image volumes", Outcome::Warning, "not used, as configured; each start takes some seconds longer")
        }
        (false, ImageVolumes::Auto) => check(
            "image volumes",
            Outcome::Warning,
            "not on every node, so each start takes some seconds longer; they need Kubernetes 1.35, containerd 2.1 or CRI-O 1.33",
        ),
    });
    let shown = canary::run(client, config, None).await?;
    let isolation = &config.isolation;
    checks.push(match (shown.policies_enforced, isolation.network_policy) {
        (true, _) => check("network policy", Outcome::Ok, "a canary shows that policies are enforced"),
        (false, NetworkPolicies::Unenforced) => {
            check("network policy", Outcome::Warning, "not enforced, as configured")
        }
        (false, NetworkPolicies::Enforced) => check(
            "network policy",
            Outcome::Failed,
            "not enforced; install a network plug-in that does, such as Cilium or Calico",
        ),
    });
    checks.push(match (shown.user_namespaces, isolation.user_namespaces) {
        (true, _) => check("user namespaces", Outcome::Ok, "root in a pod is nobody on its node"),
        (false, UserNamespaces::Preferred) => check(
            "user namespaces",
            Outcome::Warning,
            "not available; root in a container is root on its node's kernel",
        ),
        (false, UserNamespaces::Required) => check(
            "user namespaces",
            Outcome::Failed,
            "not available; they need Kubernetes 1.33, containerd 2 and runc 1.2 or newer",
        ),
    });
    Ok(Report(checks))
}

async fn storage(client: &Client, config: &Config) -> Result<Check> {
    let classes = Api::<StorageClass>::all(client.clone()).list(&ListParams::default()).await?;
    let default = "storageclass.kubernetes.io/is-default-class";
    let is_default = |class: &StorageClass| {
        class.metadata.annotations.as_ref().and_then(|notes| notes.get(default)).is_some_and(|value| value == "true")
    };
    let found = match &config.storage_class {
        Some(name) => classes.iter().any(|class| class.metadata.name.as_ref() == Some(name)),
        None => classes.iter().any(is_default),
    };
    Ok(if found {
        check("storage class", Outcome::Ok, "there is one for disks")
    } else {
        check("storage class", Outcome::Failed, "none is the default; mark one, or name one in cluster.storage_class")
    })
}

async fn metrics(client: &Client) -> Result<Check> {
    let groups = client.list_api_groups().await?;
    Ok(if groups.groups.iter().any(|group| group.name == "metrics.k8s.io") {
        check("metrics", Outcome::Ok, "memory in use can be read")
    } else {
        check(
            "metrics",
            Outcome::Warning,
            "no metrics.k8s.io; memory_used_mb stays null until metrics-server is installed",
        )
    })
}

async fn routes(client: &Client) -> Result<Check> {
    let groups = client.list_api_groups().await?;
    let known = if groups.groups.iter().any(|group| group.name == Route::group(&())) {
        let kinds = client.list_api_group_resources(&Route::api_version(&())).await?;
        kinds.resources.iter().any(|kind| kind.name == Route::plural(&()))
    } else {
        false
    };
    Ok(if known {
        check("routes", Outcome::Ok, "the gateway can be told where containers are")
    } else {
        check(
            "routes",
            Outcome::Failed,
            "the cluster does not know routes.berth.dev, so no gateway would find a container; \
             kubectl apply -f deploy/crd-routes.yaml makes it known",
        )
    })
}

fn check(name: &'static str, outcome: Outcome, words: &str) -> Check {
    Check { name, outcome, words: words.to_owned() }
}
