//! Containers, instance types and quotas.

use berth_core::container::Container as Row;
use berth_core::disk::gib;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "7f3c9k52", "name": "my-app", "status": "running", "hostname": "7f3c9k52.compute.example.com",
    "memory_mb": 512, "memory_used_mb": 61, "storage_gb": 5, "storage_used_gb": 0.2, "instance_type": "nano",
    "image": "registry.berth.internal/berth/base:latest", "mount_paths": ["/root"], "created_at": "2026-01-15T10:30:00Z",
    "stopped_at": null, "ssh_enabled": true, "https_enabled": false, "pull_policy": "IfNotPresent",
    "ssh_command": "ssh root@7f3c9k52.compute.example.com", "external_ip": null,
    "transition": null, "reason": null, "message": null,
    "image_digest": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
}))]
pub struct Container {
    /// 8 characters; a DNS label.
    #[schema(example = "7f3c9k52")]
    pub id: String,
    pub name: String,
    /// `pending`, `initializing`, `running`, `stopped` or `failed`.
    pub status: String,
    pub hostname: String,
    /// MiB.
    pub memory_mb: i32,
    /// MiB; null when unknown.
    pub memory_used_mb: Option<i32>,
    /// GiB.
    pub storage_gb: i32,
    /// GiB with one decimal, as last known; null when unknown.
    pub storage_used_gb: Option<f64>,
    pub instance_type: String,
    pub image: String,
    pub mount_paths: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub stopped_at: Option<DateTime<Utc>>,
    pub ssh_enabled: bool,
    pub https_enabled: bool,
    /// `Always` or `IfNotPresent`.
    pub pull_policy: String,
    pub ssh_command: String,
    pub external_ip: Option<String>,
    /// `starting`, `stopping`, `restarting`, `deleting` or null.
    pub transition: Option<String>,
    /// Stable code for why the status is what it is.
    pub reason: Option<String>,
    /// The same in a sentence.
    pub message: Option<String>,
    /// Of the image: what it resolved to when the container was created, then what the latest pod really ran; null when unknown.
    pub image_digest: Option<String>,
}

impl Container {
    pub fn new(row: &Row, domain: &str) -> Self {
        let hostname = row.names().hostname(domain);
        Self {
            id: row.id.to_string(),
            name: row.spec.name.to_string(),
            status: row.status.phase.as_str().to_owned(),
            memory_mb: row.spec.memory.get(),
            memory_used_mb: row.memory_used_mb,
            storage_gb: row.spec.storage.get(),
            storage_used_gb: row.disk_used.map(gib),
            instance_type: row.spec.instance_type.clone(),
            image: row.spec.image.to_string(),
            mount_paths: row.spec.mounts.as_slice().to_vec(),
            created_at: row.created_at,
            stopped_at: row.stopped_at,
            ssh_enabled: row.spec.ssh_enabled,
            https_enabled: row.https_enabled,
            pull_policy: row.spec.pull_policy.as_str().to_owned(),
            ssh_command: format!("ssh root@{hostname}"),
            hostname,
            external_ip: row.external_ip.map(|address| address.to_string()),
            transition: row.status.transition.map(|transition| transition.as_str().to_owned()),
            reason: row.status.reason.map(|reason| reason.as_str().to_owned()),
            message: row.status.message.clone(),
            image_digest: row.image_digest.as_ref().map(ToString::to_string),
        }
    }
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "containers": [{
    "id": "7f3c9k52", "name": "my-app", "status": "running", "hostname": "7f3c9k52.compute.example.com",
    "memory_mb": 512, "memory_used_mb": 61, "storage_gb": 5, "storage_used_gb": 0.2, "instance_type": "nano",
    "image": "registry.berth.internal/berth/base:latest", "mount_paths": ["/root"], "created_at": "2026-01-15T10:30:00Z",
    "stopped_at": null, "ssh_enabled": true, "https_enabled": false, "pull_policy": "IfNotPresent",
    "ssh_command": "ssh root@7f3c9k52.compute.example.com", "external_ip": null,
    "transition": null, "reason": null, "message": null,
    "image_digest": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
}] }))]
pub struct Containers {
    pub containers: Vec<Container>,
}

/// As administrators see it: `created_at` is in unix seconds here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "7f3c9k52", "name": "my-app", "status": "running", "hostname": "7f3c9k52.compute.example.com",
    "memory_mb": 512, "memory_used_mb": 61, "storage_gb": 5, "storage_used_gb": 0.2, "instance_type": "nano",
    "image": "registry.berth.internal/berth/base:latest", "mount_paths": ["/root"], "created_at": 1768473000, "user_id": "7", "owner": "ann",
    "stopped_at": null, "ssh_enabled": true, "https_enabled": false, "pull_policy": "IfNotPresent",
    "ssh_command": "ssh root@7f3c9k52.compute.example.com", "external_ip": null,
    "transition": null, "reason": null, "message": null,
    "image_digest": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
}))]
pub struct AdminContainer {
    #[serde(flatten)]
    pub container: serde_json::Value,
    pub user_id: String,
    pub owner: String,
    pub created_at: i64,
}

impl AdminContainer {
    pub fn new(row: &Row, domain: &str) -> Self {
        let mut container = serde_json::to_value(Container::new(row, domain)).unwrap_or_default();
        if let Some(fields) = container.as_object_mut() {
            fields.remove("created_at");
        }
        Self {
            container,
            user_id: row.owner.to_string(),
            owner: row.owner_username.to_string(),
            created_at: row.created_at.timestamp(),
        }
    }
}

/// Absent, null, 0 and "" mean the default: older clients send zeros.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "name": "my-app", "memory_mb": 1024, "ssh_enabled": true, "ssh_key_ids": [4], "mount_paths": ["/root", "/var/data"] }))]
pub struct CreateContainer {
    /// 1–63 printable characters, unique among your containers.
    pub name: Option<String>,
    pub instance_type: Option<String>,
    /// MiB.
    pub memory_mb: Option<i64>,
    /// GiB.
    pub storage_gb: Option<i64>,
    pub ssh_key_ids: Option<Vec<i64>>,
    pub ssh_enabled: Option<bool>,
    pub mount_paths: Option<Vec<String>>,
    pub image: Option<String>,
    pub pull_policy: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "name": "nano", "cores": 0.5, "architecture": "amd64", "available": true }))]
pub struct InstanceType {
    pub name: String,
    pub cores: f64,
    pub architecture: String,
    /// Whether a node offers the architecture now.
    pub available: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "instance_types": [{ "name": "nano", "cores": 0.5, "architecture": "amd64", "available": true }] }))]
pub struct InstanceTypes {
    pub instance_types: Vec<InstanceType>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "used": 1, "limit": 3 }))]
pub struct QuotaLine {
    pub used: i64,
    pub limit: i64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "containers": { "used": 1, "limit": 3 }, "memory_mb": { "used": 512, "limit": 8192 }, "storage_gb": { "used": 5, "limit": 50 }, "ssh_keys": { "used": 1, "limit": 10 }, "ingress_rules": { "used": 2, "limit": 20 } }))]
pub struct Quota {
    pub containers: QuotaLine,
    pub memory_mb: QuotaLine,
    pub storage_gb: QuotaLine,
    pub ssh_keys: QuotaLine,
    pub ingress_rules: QuotaLine,
}

/// `{"status":"ok"}`
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "status": "ok" }))]
pub struct Done {
    pub status: &'static str,
}

impl Done {
    pub const OK: Self = Self { status: "ok" };
}
