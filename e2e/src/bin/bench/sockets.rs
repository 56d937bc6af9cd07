//! Fan-out: a thousand clients watch one user whose container is stopped and started; against one client alone.
//! The clients share the machine with berthd, so their own work is in the figure.

use std::time::Duration;

use anyhow::{Context, bail};
use berth_e2e::berthd::{Berthd, User};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::cluster::Cluster;
use crate::create::clear;
use crate::machine::resident_kib;
use crate::table::{Row, Samples};

const CLIENTS: usize = 1_000;
const CONNECTING: usize = 50;
const ROUNDS: usize = 8;
const DEADLINE: Duration = Duration::from_secs(120);

/// A frame: which client got it, when, and whether nothing is under way in it.
type Seen = anyhow::Result<(usize, Instant, bool)>;

struct Clients {
    count: usize,
    seen: mpsc::UnboundedReceiver<Seen>,
    _tasks: JoinSet<()>,
}

/// Milliseconds from the request, and from its answer, to the first frame of the change at each client.
#[derive(Default)]
struct Delays {
    from_request: Samples,
    from_answer: Samples,
}

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let berthd = Berthd::start().await;
    let ann = berthd.user(43, "ann");
    let measured = fan_out(&berthd, &ann).await;
    clear(cluster, &ann).await?;
    measured
}

async fn fan_out(berthd: &Berthd, ann: &User<'_>) -> anyhow::Result<Vec<Row>> {
    let pid = berthd.pid().context("berthd does not run")?;
    let id = ann.create("one").await;
    ann.settled(&id, "running").await;
    let alone = changes(&mut Clients::open(ann, 1).await?, ann, &id).await?;
    let before = resident_kib(pid)?;
    let mut clients = Clients::open(ann, CLIENTS).await?;
    let opened = resident_kib(pid)?;
    let crowd = changes(&mut clients, ann, &id).await?;
    let used = resident_kib(pid)?;

    let each = |now: f64| format!("{:.1} KiB", (now - before) / CLIENTS as f64);
    let (request, answer) = ("change requested → frame, 1,000 clients", "change answered → frame, 1,000 clients");
    Ok(vec![
        Row::timed(request, &crowd.from_request).against("1 client", &crowd.from_request, &alone.from_request),
        Row::timed(answer, &crowd.from_answer).note("negative: the frame came before the answer".to_owned()),
        Row::figure("berthd's memory per socket, opened", CLIENTS, each(opened)),
        Row::figure("berthd's memory per socket, after the changes", CLIENTS, each(used))
            .note(format!("{:.0} MiB before the first socket", before / 1024.0)),
    ])
}

/// Stops and starts the container; each change is over when every client has seen it settle.
async fn changes(clients: &mut Clients, ann: &User<'_>, id: &str) -> anyhow::Result<Delays> {
    let mut delays = Delays::default();
    for verb in ["stop", "start"].repeat(ROUNDS) {
        let sent = Instant::now();
        let (status, answer) = ann.post(id, verb).await;
        let answered = Instant::now();
        anyhow::ensure!(status == StatusCode::OK, "{verb} answered {status}: {answer}");
        let firsts = timeout(DEADLINE, clients.settled()).await;
        for at in firsts.with_context(|| format!("gave up waiting for every client to see the {verb}"))?? {
            delays.from_request.push(at - sent);
            delays.from_answer.push_ms(signed_ms(at, answered));
        }
    }
    Ok(delays)
}

fn signed_ms(at: Instant, origin: Instant) -> f64 {
    let (after, before) = (at.saturating_duration_since(origin), origin.saturating_duration_since(at));
    (after.as_secs_f64() - before.as_secs_f64()) * 1000.0
}

impl Clients {
    /// Open when each has read its first snapshot.
    async fn open(ann: &User<'_>, count: usize) -> anyhow::Result<Self> {
        let (sender, seen) = mpsc::unbounded_channel();
        let url = ann.socket_url();
        // A thousand clients with the default buffer of 128 KiB would be most of this program.
        let small = WebSocketConfig::default().read_buffer_size(4096);
        let connect = async |number: usize| -> anyhow::Result<_> {
            let (mut socket, _) = connect_async_with_config(&url, Some(small), true).await?;
            socket.next().await.context("a socket ended before its snapshot")??;
            Ok((number, socket))
        };
        let open: Vec<_> = stream::iter(0..count).map(connect).buffer_unordered(CONNECTING).try_collect().await?;
        let mut tasks = JoinSet::new();
        for (number, mut socket) in open {
            let sender = sender.clone();
            tasks.spawn(async move {
                while let Some(frame) = socket.next().await {
                    let at = Instant::now();
                    let told = match frame {
                        Ok(frame) => settled(frame.to_text().unwrap_or_default()).map(|calm| Ok((number, at, calm))),
                        Err(error) => Some(Err(error.into())),
                    };
                    // Nobody listens any more when the measurement is over.
                    if told.is_some_and(|told| sender.send(told).is_err()) {
                        return;
                    }
                }
            });
        }
        Ok(Self { count, seen, _tasks: tasks })
    }

    /// When each client saw the first frame of a change, once all have seen the last.
    async fn settled(&mut self) -> anyhow::Result<Vec<Instant>> {
        let mut firsts = vec![None; self.count];
        let mut calm = vec![false; self.count];
        while calm.contains(&false) {
            let Some(seen) = self.seen.recv().await else { bail!("the sockets ended") };
            let (client, at, is_calm) = seen.context("a socket broke")?;
            firsts[client].get_or_insert(at);
            calm[client] = is_calm;
        }
        Ok(firsts.into_iter().flatten().collect())
    }
}

/// Whether nothing is under way in a frame of a change; `None` for every other frame.
fn settled(text: &str) -> Option<bool> {
    let frame: Value = serde_json::from_str(text).ok()?;
    (frame["type"] == "container_status").then(|| frame["data"]["transition"].is_null())
}
