//! The workload: a StatefulSet of 0 or 1 pod, so that never two write to one disk, and its headless Service.

use berth_core::container::Container;
use berth_core::mount::sub_path;
use berth_core::names::{ANNOTATION_RESTART, LABEL_CONTAINER, MAIN, SERVICE, SERVICE_ACCOUNT, VOLUME_CLAIM, WORKLOAD};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use kube::api::ApiResource;
use serde_json::{Value, json};

use super::{Context, Object, agent, ssh};
use crate::pull_secret::PullSecret;

/// What a root shell needs to install packages, change users and serve port 80. No NET_RAW, no MKNOD.
const CAPABILITIES: [&str; 12] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "SETFCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "AUDIT_WRITE",
];

pub(super) fn service(labels: &Value) -> Object {
    let body = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": SERVICE, "labels": labels },
        "spec": { "clusterIP": "None", "selector": { LABEL_CONTAINER: labels[LABEL_CONTAINER] } },
    });
    Object { resource: ApiResource::erase::<Service>(&()), name: SERVICE, body }
}

pub(super) fn stateful_set(container: &Container, replicas: i32, context: &Context<'_>, labels: &Value) -> Object {
    let body = json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": WORKLOAD, "labels": labels },
        "spec": {
            "replicas": replicas,
            "serviceName": SERVICE,
            "selector": { "matchLabels": { LABEL_CONTAINER: labels[LABEL_CONTAINER] } },
            "podManagementPolicy": "Parallel",
            // A changed template waits for the next pod: what needs one at once asks for it by the restart generation.
            "updateStrategy": { "type": "OnDelete" },
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": { ANNOTATION_RESTART: container.restart_generation.to_string() },
                },
                "spec": pod(container, context),
            },
        },
    });
    Object { resource: ApiResource::erase::<StatefulSet>(&()), name: WORKLOAD, body }
}

fn pod(container: &Container, context: &Context<'_>) -> Value {
    // A type that the configuration lost since keeps its container startable: the default's size.
    let kind = context.types.find(&container.spec.instance_type).unwrap_or(context.types.default_type());
    let mut pod = json!({
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "serviceAccountName": SERVICE_ACCOUNT,
        "terminationGracePeriodSeconds": 10,
        "nodeSelector": { "kubernetes.io/arch": kind.arch.as_str() },
        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
        "initContainers": agent::init_containers(container, context),
        "containers": [main(container, kind.millicores, context)],
        "volumes": [
            { "name": VOLUME_CLAIM, "persistentVolumeClaim": { "claimName": VOLUME_CLAIM } },
            agent::volume(container, context),
        ],
    });
    if context.config.pulls.is_some() {
        pod["imagePullSecrets"] = PullSecret::names();
    }
    if context.user_namespaces {
        pod["hostUsers"] = json!(false);
    }
    if context.config.ssh.is_some() {
        ssh::spawn(&mut pod["containers"][0]);
        if let Some(volumes) = pod["volumes"].as_array_mut() {
            volumes.extend(ssh::volumes(context));
        }
    }
    if let Some(class) = &context.config.runtime_class {
        pod["runtimeClassName"] = json!(class);
    }
    pod
}

fn main(container: &Container, millicores: u32, context: &Context<'_>) -> Value {
    let spec = &container.spec;
    let memory = format!("{}Mi", spec.memory.get());
    let scratch = format!("{}Mi", context.config.ephemeral_storage_mb);
    let share = (u64::from(millicores) * u64::from(context.config.cpu_request_percent) / 100).max(1);
    let mount = |path| json!({ "name": VOLUME_CLAIM, "mountPath": path, "subPath": sub_path(path) });
    json!({
        "name": MAIN,
        "image": spec.image.as_str(),
        "imagePullPolicy": spec.pull_policy.as_str(),
        "resources": {
            "limits": { "cpu": format!("{millicores}m"), "memory": memory, "ephemeral-storage": scratch },
            "requests": { "cpu": format!("{share}m"), "memory": memory, "ephemeral-storage": "1Mi" },
        },
        "securityContext": {
            "privileged": false,
            "allowPrivilegeEscalation": true,
            "capabilities": { "drop": ["ALL"], "add": CAPABILITIES },
        },
        "volumeMounts": spec.mounts.iter().map(mount).collect::<Vec<_>>(),
    })
}
