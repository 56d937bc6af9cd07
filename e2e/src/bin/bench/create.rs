//! From the request to the status socket's `running`, against a bare pod from its request to Ready, turn by turn. A second
//! bare pod has an empty volume: kubelet looks only every 0.3 s whether volumes are mounted, so the difference between
//! the two is the price of having a disk at all, and the rest is Berth's.

use std::time::Duration;

use anyhow::Context;
use berth_core::names::POD;
use berth_e2e::berthd::{Berthd, User};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, Volume, VolumeMount};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::connect_async;

use crate::cluster::{Cluster, Watch};
use crate::table::{Row, Samples};

const ROUNDS: usize = 20;
const NAMESPACE: &str = "bench-create";
const DEADLINE: Duration = Duration::from_secs(120);

/// When one create reached what, after its request was sent.
struct Stages {
    answered: Duration,
    initializing: Option<Duration>,
    ready: Duration,
    running: Duration,
}

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let berthd = Berthd::start().await;
    let ann = berthd.user(41, "ann");
    cluster.make_namespace(NAMESPACE).await?;
    let measured = rounds(cluster, &ann).await;
    clear(cluster, &ann).await?;
    cluster.remove_namespace(NAMESPACE).await?;
    measured
}

async fn rounds(cluster: &Cluster, ann: &User<'_>) -> anyhow::Result<Vec<Row>> {
    // The first one waits for berthd's canary and pulls the image.
    container(cluster, ann).await.context("a first container")?;
    let id = only_container(ann).await?;
    let bare = cluster.peer_of(&ann.namespace(&id)).await?;
    let volume = with_volume(&bare);
    clear(cluster, ann).await?;
    let pods = cluster.pods(NAMESPACE);
    bare_pod(&pods, &bare).await.context("a first bare pod")?;

    let [mut answered, mut initializing, mut told, mut running] = [(); 4].map(|()| Samples::default());
    let [mut without, mut with] = [(); 2].map(|()| Samples::default());
    for _ in 0..ROUNDS {
        let ours = container(cluster, ann).await?;
        answered.push(ours.answered);
        initializing.push(ours.initializing.unwrap_or(ours.running));
        told.push(ours.running.saturating_sub(ours.ready));
        running.push(ours.running);
        clear(cluster, ann).await?;
        without.push(bare_pod(&pods, &bare).await?);
        with.push(bare_pod(&pods, &volume).await?);
    }
    let all = "create → running";
    Ok(vec![
        Row::timed("create → answered", &answered),
        Row::timed("create → initializing (pod on the node)", &initializing),
        Row::timed("pod Ready → running told", &told),
        Row::timed(all, &running).against("bare pod → Ready", &running, &without),
        Row::timed(all, &running).against("the same with a volume", &running, &with),
    ])
}

fn with_volume(bare: &Pod) -> Pod {
    let mut pod = bare.clone();
    if let Some(spec) = &mut pod.spec {
        let empty = EmptyDirVolumeSource::default();
        spec.volumes = Some(vec![Volume { name: "empty".to_owned(), empty_dir: Some(empty), ..Volume::default() }]);
        let mount = VolumeMount { name: "empty".to_owned(), mount_path: "/root".to_owned(), ..VolumeMount::default() };
        spec.containers.iter_mut().for_each(|container| container.volume_mounts = Some(vec![mount.clone()]));
    }
    pod
}

async fn container(cluster: &Cluster, ann: &User<'_>) -> anyhow::Result<Stages> {
    let mut watch = Watch::open(&cluster.all_pods(), POD).await?;
    let (mut socket, _) = connect_async(ann.socket_url()).await.context("opening the status socket")?;
    socket.next().await.context("the socket ended")??;
    let body = json!({ "name": "one", "memory_mb": 128, "storage_gb": 1 });
    let begun = Instant::now();
    let (status, answer) = ann.call(Method::POST, "/compute/containers", Some(&body)).await;
    let answered = begun.elapsed();
    anyhow::ensure!(status == StatusCode::CREATED, "create answered {status}: {answer}");
    let mut initializing = None;
    let watched = async {
        loop {
            let frame = socket.next().await.context("the socket ended")??;
            let at = begun.elapsed();
            let Ok(frame) = serde_json::from_str::<Value>(frame.to_text().unwrap_or_default()) else { continue };
            let snapshot = frame["type"] == "containers";
            let status = if snapshot { &frame["data"][0]["status"] } else { &frame["data"]["status"] };
            match status.as_str() {
                Some("initializing") => _ = initializing.get_or_insert(at),
                Some("running") => return Ok(at),
                Some("failed") => anyhow::bail!("the container failed: {frame}"),
                Some(_) | None => {}
            }
        }
    };
    let running = async { timeout(DEADLINE, watched).await.context("gave up waiting for running")? };
    let (running, ready) = tokio::try_join!(running, watch.ready())?;
    Ok(Stages { answered, initializing, ready: ready - begun, running })
}

/// From apply to Ready; deleted and gone when this returns.
async fn bare_pod(pods: &Api<Pod>, peer: &Pod) -> anyhow::Result<Duration> {
    let mut watch = Watch::open(pods, "peer").await?;
    let begun = Instant::now();
    pods.create(&PostParams::default(), peer).await.context("making the bare pod")?;
    let ready = watch.ready().await? - begun;
    pods.delete("peer", &DeleteParams::default()).await?;
    watch.deleted().await?;
    Ok(ready)
}

async fn only_container(ann: &User<'_>) -> anyhow::Result<String> {
    let (_, list) = ann.call(Method::GET, "/compute/containers", None).await;
    list["containers"][0]["id"].as_str().map(str::to_owned).context("the list shows no container")
}

/// Deletes all containers of a user and waits until nothing of them is left.
pub(crate) async fn clear(cluster: &Cluster, user: &User<'_>) -> anyhow::Result<()> {
    let (_, list) = user.call(Method::GET, "/compute/containers", None).await;
    let ids: Vec<&str> = list["containers"].as_array().into_iter().flatten().filter_map(|c| c["id"].as_str()).collect();
    for id in &ids {
        let status = user.delete(id).await;
        anyhow::ensure!(status == StatusCode::OK, "delete answered {status}");
    }
    for id in &ids {
        cluster.gone(&user.namespace(id)).await?;
    }
    Ok(())
}
