//! Stopping: the answer, and the pod's end, against the deletion of a bare pod of the same grace, turn by turn.

use anyhow::Context;
use berth_core::names::POD;
use berth_e2e::berthd::{Berthd, User};
use kube::api::{DeleteParams, PostParams};
use reqwest::{Method, StatusCode};
use tokio::time::Instant;

use crate::cluster::{Cluster, Watch};
use crate::create::clear;
use crate::table::{Row, Samples};

const ROUNDS: usize = 20;
const NAMESPACE: &str = "bench-stop";

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let berthd = Berthd::start().await;
    let ann = berthd.user(42, "ann");
    cluster.make_namespace(NAMESPACE).await?;
    let measured = rounds(cluster, &ann).await;
    clear(cluster, &ann).await?;
    cluster.remove_namespace(NAMESPACE).await?;
    measured
}

async fn rounds(cluster: &Cluster, ann: &User<'_>) -> anyhow::Result<Vec<Row>> {
    let id = ann.create("one").await;
    ann.settled(&id, "running").await;
    let peer = cluster.peer_of(&ann.namespace(&id)).await?;
    let (ours, theirs) = (cluster.pods(&ann.namespace(&id)), cluster.pods(NAMESPACE));

    let [mut healthz, mut ack, mut gone, mut peer_gone] = [(); 4].map(|()| Samples::default());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let (status, _) = ann.call(Method::GET, "/healthz", None).await;
        healthz.push(begun.elapsed());
        anyhow::ensure!(status == StatusCode::OK, "/healthz answered {status}");

        let mut watch = Watch::open(&ours, POD).await?;
        let begun = Instant::now();
        let (status, answer) = ann.post(&id, "stop").await;
        ack.push(begun.elapsed());
        anyhow::ensure!(status == StatusCode::OK, "stop answered {status}: {answer}");
        gone.push(watch.deleted().await.context("after a stop")? - begun);
        ann.settled(&id, "stopped").await;

        let mut watch = Watch::open(&theirs, "peer").await?;
        theirs.create(&PostParams::default(), &peer).await.context("making the bare pod")?;
        watch.ready().await?;
        let begun = Instant::now();
        theirs.delete("peer", &DeleteParams::default()).await?;
        peer_gone.push(watch.deleted().await.context("after deleting the bare pod")? - begun);

        let (status, answer) = ann.post(&id, "start").await;
        anyhow::ensure!(status == StatusCode::OK, "start answered {status}: {answer}");
        ann.settled(&id, "running").await;
    }
    Ok(vec![
        Row::timed("stop → answered", &ack).against("GET /healthz", &ack, &healthz),
        Row::timed("stop → pod gone", &gone).against("bare pod deleted → gone", &gone, &peer_gone),
    ])
}
