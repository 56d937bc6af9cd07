//! What SSH needs of a pod: keys for the agent alone, a folder in which it meets main, and in main the program that starts
//! sessions. None of it depends on whether SSH is on: that is the policy's and the gateway's, and restarts nothing.

use berth_core::container::Container;
use berth_core::names::{AGENT_PORT, KEYS_SECRET, KEYS_VOLUME, LINK_VOLUME, PROGRAM_VOLUME};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ApiResource;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{LineEnding, PrivateKey};

use super::agent::BERTH;
use super::{Context, Object};
use crate::Ssh;

/// Bytes of sockets' names, which is all that the folder holds.
const LINK_MB: u32 = 1;
const KEYS: &str = "/keys";
/// In the agent's container.
const LINK: &str = "/link";

/// The container's own host key: the same whenever it is asked for, and nobody else's. Nothing has to be kept or read back.
fn host_key(ssh: &Ssh, container: &Container) -> PrivateKey {
    let mut digest = Sha256::new();
    digest.update(b"berth.dev host key v1\0");
    // Of fixed length, and so never taken for a part of the secret.
    digest.update(Sha256::digest(ssh.host_key_secret.expose_secret()));
    digest.update(container.id.as_str());
    PrivateKey::from(Ed25519Keypair::from_seed(&digest.finalize().into()))
}

/// For the agent, as OpenSSH writes keys.
pub(super) fn secret(ssh: &Ssh, container: &Container, labels: &Value) -> Object {
    let key = host_key(ssh, container);
    // An unencrypted key is always written.
    let host_key = key.to_openssh(LineEnding::LF).map(|text| text.to_string()).unwrap_or_default();
    let body = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": KEYS_SECRET, "labels": labels },
        "type": "Opaque",
        "stringData": { "host_key": host_key, "gateway_keys": ssh.gateway_keys },
    });
    Object { resource: ApiResource::erase::<Secret>(&()), name: KEYS_SECRET, body }
}

/// For the route: type and base64.
pub(super) fn public_host_key(ssh: &Ssh, container: &Container) -> Option<String> {
    host_key(ssh, container).public_key().to_openssh().ok().map(|line| line.trim().to_owned())
}

pub(super) fn serve(container: &Container, sidecar: &mut Value) {
    let words = [
        "--ssh",
        &format!("0.0.0.0:{AGENT_PORT}"),
        "--container",
        container.id.as_str(),
        "--since",
        &container.restart_generation.to_string(),
        "--keys",
        KEYS,
        "--link",
        LINK,
    ]
    .map(Value::from);
    let mounts = [
        json!({ "name": KEYS_VOLUME, "mountPath": KEYS, "readOnly": true }),
        json!({ "name": LINK_VOLUME, "mountPath": LINK }),
    ];
    for (list, more) in [("command", words.to_vec()), ("volumeMounts", mounts.to_vec())] {
        if let Some(list) = sidecar[list].as_array_mut() {
            list.extend(more);
        }
    }
}

pub(super) fn volumes(context: &Context<'_>) -> Vec<Value> {
    let mut volumes = vec![
        json!({ "name": LINK_VOLUME, "emptyDir": { "sizeLimit": format!("{LINK_MB}Mi") } }),
        json!({ "name": KEYS_VOLUME, "secret": { "secretName": KEYS_SECRET, "defaultMode": 0o400 } }),
    ];
    // Elsewhere it is there already, to fill the disk.
    if context.image_volumes() {
        let image = json!({ "reference": context.config.agent_image, "pullPolicy": "IfNotPresent" });
        volumes.push(json!({ "name": PROGRAM_VOLUME, "image": image }));
    }
    volumes
}

/// Main's part: it starts as ever, and then `spawn` beside it, which is in the background within milliseconds.
pub(super) fn spawn(main: &mut Value) {
    let (program, link) = (format!("{BERTH}/bin"), format!("{BERTH}/link"));
    let command = [&format!("{program}/berth-agent"), "spawn", "--link", &link];
    main["lifecycle"] = json!({ "postStart": { "exec": { "command": command } } });
    if let Some(mounts) = main["volumeMounts"].as_array_mut() {
        mounts.push(json!({ "name": PROGRAM_VOLUME, "mountPath": program, "readOnly": true }));
        mounts.push(json!({ "name": LINK_VOLUME, "mountPath": link }));
    }
}
