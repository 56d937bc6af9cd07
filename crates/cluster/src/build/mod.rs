//! Pure: a row and facts in, objects out. Tenant input is typed before it comes here and only ever becomes a JSON string.

mod agent;
mod namespace;
mod policy;
mod route;
mod ssh;
mod storage;
mod workload;

use berth_core::container::Container;
use berth_core::exposure::Exposure;
use berth_core::instance::InstanceTypes;
use berth_core::names::{
    ANNOTATION_APPLIED, LABEL_CONTAINER, LABEL_INSTALLATION, LABEL_MANAGED_BY, LABEL_OWNER, MANAGED_BY,
};
use kube::api::ApiResource;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::facts::Facts;
use crate::pull_secret::PullSecret;
use crate::{Config, ImageVolumes};

/// What every builder sees.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) facts: &'a Facts,
    pub(crate) types: &'a InstanceTypes,
    pub(crate) installation: &'a str,
    /// Containers are `<id>.compute.<domain>`.
    pub(crate) domain: &'a str,
    /// Whether the cluster can give pods one; `false` only where the configuration merely prefers it.
    pub(crate) user_namespaces: bool,
}

impl Context<'_> {
    fn image_volumes(&self) -> bool {
        self.facts.image_volumes && self.config.image_volumes == ImageVolumes::Auto
    }
}

/// One object, ready for server-side apply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) resource: ApiResource,
    pub(crate) name: &'static str,
    pub(crate) body: Value,
}

/// All objects of one container, by when they are applied.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    pub(crate) namespace: Value,
    /// Before anything runs; their order among themselves does not matter.
    pub(crate) fences: Vec<Object>,
    /// With them, where the registry is private.
    pub(crate) pull_secret: Option<PullSecret>,
    /// After them; carries the hash of everything.
    pub(crate) workload: Object,
    /// Last, with the same hash: nobody is led to what is not there yet.
    pub(crate) route: Value,
    pub(crate) hash: String,
}

pub(crate) fn objects(container: &Container, exposure: &Exposure, replicas: i32, context: &Context<'_>) -> Objects {
    let labels = labels(container, context.installation);
    let namespace = namespace::namespace(container, &labels);
    let mut fences = vec![
        namespace::quota(container, context.config, &labels),
        namespace::limits(container, context.config, &labels),
        policy::policy(context, &exposure.targets(), container.spec.ssh_enabled, &labels),
        namespace::service_account(&labels),
        storage::claim(container, context.config, &labels),
        workload::service(&labels),
    ];
    fences.extend(context.config.ssh.iter().map(|ssh| ssh::secret(ssh, container, &labels)));
    let mut workload = workload::stateful_set(container, replicas, context, &labels);
    let mut route = route::route(container, exposure, context, &labels);
    let pull_secret = context.config.pulls.as_ref().map(|pulls| PullSecret::new(pulls, &labels));
    let hash = hash(&namespace, &fences, pull_secret.as_ref(), [&workload.body, &route]);
    for last in [&mut workload.body, &mut route] {
        last["metadata"]["annotations"] = json!({ ANNOTATION_APPLIED: hash });
    }
    Objects { namespace, fences, pull_secret, workload, route, hash }
}

fn labels(container: &Container, installation: &str) -> Value {
    json!({
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_CONTAINER: container.id.to_string(),
        LABEL_OWNER: container.owner.to_string(),
        LABEL_INSTALLATION: installation,
    })
}

fn hash(namespace: &Value, fences: &[Object], pull_secret: Option<&PullSecret>, last: [&Value; 2]) -> String {
    let mut digest = Sha256::new();
    let bodies = std::iter::once(namespace).chain(fences.iter().map(|object| &object.body));
    bodies.chain(last).for_each(|body| digest.update(body.to_string()));
    pull_secret.iter().for_each(|secret| digest.update(secret.fingerprint()));
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
