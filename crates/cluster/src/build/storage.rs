//! The container's disk.

use berth_core::container::Container;
use berth_core::names::VOLUME_CLAIM;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ApiResource;
use serde_json::{Value, json};

use super::Object;
use crate::Config;

pub(super) fn claim(container: &Container, config: &Config, labels: &Value) -> Object {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": format!("{}Gi", container.spec.storage.get()) } },
    });
    if let Some(class) = &config.storage_class {
        spec["storageClassName"] = json!(class);
    }
    let body = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": VOLUME_CLAIM, "labels": labels },
        "spec": spec,
    });
    Object { resource: ApiResource::erase::<PersistentVolumeClaim>(&()), name: VOLUME_CLAIM, body }
}
