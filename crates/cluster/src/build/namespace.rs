//! The namespace and what bounds everything inside it.

use berth_core::container::Container;
use berth_core::names::{LIMIT_RANGE, RESOURCE_QUOTA, SERVICE_ACCOUNT};
use k8s_openapi::api::core::v1::{LimitRange, ResourceQuota, ServiceAccount};
use kube::api::ApiResource;
use serde_json::{Value, json};

use super::{Object, agent};
use crate::Config;

/// Pinned: a newer cluster must not tighten or loosen it by itself.
const POD_SECURITY_VERSION: &str = "v1.33";

/// `baseline`, not `restricted`: root inside the container is wanted, and harmless in its user namespace.
pub(super) fn namespace(container: &Container, labels: &Value) -> Value {
    let mut labels = labels.clone();
    labels["pod-security.kubernetes.io/enforce"] = json!("baseline");
    labels["pod-security.kubernetes.io/enforce-version"] = json!(POD_SECURITY_VERSION);
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": { "name": container.names().namespace(), "labels": labels },
    })
}

/// Twice what one container needs: a pod that is being replaced counts until it is gone, and a request that died on its way (with
/// berthd, say) may stay counted until the cluster counts again, minutes later.
pub(super) fn quota(container: &Container, config: &Config, labels: &Value) -> Object {
    let body = json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": { "name": RESOURCE_QUOTA, "labels": labels },
        "spec": { "hard": {
            "pods": "2",
            "persistentvolumeclaims": "2",
            "requests.storage": format!("{}Gi", 2 * i64::from(container.spec.storage.get())),
            "limits.memory": format!("{}Mi", 2 * (i64::from(container.spec.memory.get()) + agent::MEMORY_MB)),
            "limits.ephemeral-storage": format!("{}Mi", 2 * (i64::from(config.ephemeral_storage_mb) + agent::SCRATCH_MB)),
            "services.nodeports": "0",
            "services.loadbalancers": "0",
        }},
    });
    Object { resource: ApiResource::erase::<ResourceQuota>(&()), name: RESOURCE_QUOTA, body }
}

pub(super) fn limits(container: &Container, config: &Config, labels: &Value) -> Object {
    let most = json!({
        "memory": format!("{}Mi", container.spec.memory.get()),
        "ephemeral-storage": format!("{}Mi", config.ephemeral_storage_mb),
    });
    let body = json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": { "name": LIMIT_RANGE, "labels": labels },
        "spec": { "limits": [{ "type": "Container", "default": most, "max": most }] },
    });
    Object { resource: ApiResource::erase::<LimitRange>(&()), name: LIMIT_RANGE, body }
}

/// Without any right, and without a token in the pod.
pub(super) fn service_account(labels: &Value) -> Object {
    let body = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": SERVICE_ACCOUNT, "labels": labels },
        "automountServiceAccountToken": false,
    });
    Object { resource: ApiResource::erase::<ServiceAccount>(&()), name: SERVICE_ACCOUNT, body }
}
