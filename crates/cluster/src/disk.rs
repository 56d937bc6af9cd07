//! How full the disks are: each running container's agent says so in the last line of its log.

use std::collections::HashMap;
use std::time::Duration;

use berth_core::disk::DiskUse;
use berth_core::id::ContainerId;
use berth_core::names::{AGENT, Names, POD};
use berth_store::Running;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::Result;
use crate::controller::Ctx;

/// No container is asked more often.
const EVERY: Duration = Duration::from_secs(30);
/// Asked at once: each costs the API server a call to a kubelet.
const AT_ONCE: usize = 4;
/// Longer than any line of the agent.
const MOST: i64 = 4096;

/// When each container was asked.
pub(crate) type Asked = HashMap<ContainerId, Instant>;

/// Asks the containers whose turn it is. One that does not answer keeps what was known of it.
pub(crate) async fn record(ctx: &Ctx, asked: &mut Asked) -> Result<()> {
    let running = ctx.store.running().await?;
    let before = std::mem::take(asked);
    let mut due = Vec::new();
    for container in running {
        match before.get(&container.id) {
            Some(at) if at.elapsed() < EVERY => asked.insert(container.id, *at),
            Some(_) | None => {
                due.push(container);
                asked.insert(container.id, Instant::now())
            }
        };
    }
    let client = &ctx.client;
    let answers = futures::stream::iter(&due).map(|container| async move { (container, ask(client, container).await) });
    let answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
    let mut used = Vec::with_capacity(answers.len());
    for (container, answer) in answers {
        match answer {
            Ok(line) => used.extend(read(&line, container).map(|bytes| (container.id, bytes))),
            Err(error) => {
                tracing::debug!(container = %container.id, %error, "how full its disk is could not be asked");
            }
        }
    }
    Ok(ctx.store.record_disk(&used).await?)
}

async fn ask(client: &Client, container: &Running) -> kube::Result<String> {
    let namespace = Names::new(container.owner, container.id).namespace();
    let last = LogParams {
        container: Some(AGENT.to_owned()),
        tail_lines: Some(1),
        limit_bytes: Some(MOST),
        ..LogParams::default()
    };
    Api::<Pod>::namespaced(client.clone(), &namespace).logs(POD, &last).await
}

fn read(line: &str, container: &Running) -> Option<i64> {
    serde_json::from_str::<DiskUse>(line.trim()).ok()?.of_own_disk(container.storage)
}
