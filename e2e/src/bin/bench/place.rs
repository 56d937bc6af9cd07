//! A container that can be logged in to through a gateway, sshd beside it, and a client that reaches both with the same key.

use std::process::Command;

use anyhow::Context;
use berth_e2e::berthd::User;
use berth_e2e::ssh::Client;
use berth_e2e::{kubectl, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::create::clear;
use crate::gateway::Gateway;
use crate::machine::{pod_time, tree, tree_ticks};
use crate::peers::{LOAD, Peer, pinned, sshd};

const APEX: &str = "compute.berth.local";
/// Hosts of the client's settings that are the container: the gateway logs in to it, or hands the client's own connection on.
pub(crate) const NAMED: &str = "named";
pub(crate) const JUMP: &str = "jump";
/// What both sides agree on; OpenSSH's own first choice of a cipher is the other one.
pub(crate) const GCM: &str = "aes256-gcm@openssh.com";
pub(crate) const CHACHA: &str = "chacha20-poly1305@openssh.com";
const KEX: &str = "curve25519-sha256";

pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) peer: Peer,
    pub(crate) gateway: u32,
    /// Uid of the container's pod.
    pub(crate) pod: String,
}

/// Microseconds of processor time so far: the gateway's, the whole pod's, and those of sshd and all that it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) gateway: f64,
    pub(crate) pod: f64,
    pub(crate) peer: f64,
}

/// Measures at a place of the measurement's own, under a gateway of its own, and removes it again, whatever came of it.
pub(crate) async fn at_a_place<T>(
    cluster: &Cluster,
    user: i64,
    measure: impl AsyncFnOnce(&Place) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let gateway = Gateway::start(&[]).await?;
    let ann = gateway.berthd.user(user, "ann");
    let measured = async { measure(&Place::make(&gateway, &ann).await?).await };
    let measured = measured.await;
    clear(cluster, &ann).await?;
    measured
}

impl Place {
    async fn make(gateway: &Gateway, user: &User<'_>) -> anyhow::Result<Self> {
        let client = Client::new().await;
        let key = json!({ "name": "bench", "public_key": client.user_key() });
        let (_, key) = user.call(Method::POST, "/compute/ssh-keys", Some(&key)).await;
        let body = json!({
            "name": "one", "memory_mb": 256, "storage_gb": 1, "ssh_enabled": true, "ssh_key_ids": [key["id"]],
        });
        let (status, made) = user.call(Method::POST, "/compute/containers", Some(&body)).await;
        let id = made["id"].as_str().with_context(|| format!("create answered {status}: {made}"))?;
        user.settled(id, "running").await;
        let namespace = user.namespace(id);
        let host_key = ["-n", &namespace, "get", "route", id, "-o", "jsonpath={.spec.ssh.hostKey}"];
        client.trust(&format!("{id}.{APEX}"), &kubectl::run(&host_key).await);
        client.trust(APEX, &gateway.berthd.gateway_host_key());
        let address = gateway.replica.address;
        client.configure(&format!(
            "Host {NAMED}\nUser {id}\nHostName {address}\nHostKeyAlias {APEX}\n\
             Host {APEX}\nHostName {address}\nHostKeyAlias {APEX}\n\
             Host {JUMP}\nUser root\nHostName {id}.{APEX}\nProxyJump gw@{APEX}\n\
             Host *\nCiphers {GCM}\nKexAlgorithms {KEX}"
        ));
        let peer = sshd::start(&client).await?;
        for host in [NAMED, JUMP, sshd::HOST] {
            let opens = async || client.output("ssh", &[host, "true"]).await.status.success().then_some(());
            until(&format!("{host} to let the client in"), 30, opens).await;
        }
        let pod = kubectl::run(&["-n", &namespace, "get", "pod", "machine-0", "-o", "json"]).await;
        let pod: Value = serde_json::from_str(&pod)?;
        let pod = pod["metadata"]["uid"].as_str().context("a pod without a uid")?.to_owned();
        Ok(Self { client, peer, gateway: gateway.pid(), pod })
    }

    /// ssh on the core of those who load.
    pub(crate) fn ssh(&self, words: &[&str]) -> Command {
        let config = self.client.path("config").display().to_string();
        let mut command = pinned(LOAD, &["ssh", "-F", &config]);
        command.args(words);
        command
    }

    /// Once sshd has seen the end of everything that it started.
    pub(crate) async fn spent(&self) -> anyhow::Result<Spent> {
        let pid = self.peer.pid();
        until("sshd's sessions to end", 20, async || (tree(pid).is_ok_and(|all| all.len() == 1)).then_some(())).await;
        let micros = |ticks: u64| ticks as f64 * 10_000.0;
        Ok(Spent {
            gateway: micros(tree_ticks(self.gateway)?),
            pod: pod_time(&self.pod)?,
            peer: micros(tree_ticks(pid)?),
        })
    }
}

impl Spent {
    pub(crate) fn since(self, before: Self) -> Self {
        Self { gateway: self.gateway - before.gateway, pod: self.pod - before.pod, peer: self.peer - before.peer }
    }
}
