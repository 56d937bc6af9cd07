//! Runs the reconciler and everything that wakes it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_core::id::ContainerId;
use berth_core::instance::InstanceTypes;
use berth_core::isolation::Isolation;
use berth_store::{Hint, Store};
use chrono::Utc;
use futures::StreamExt;
use kube::Client;
use tokio::sync::watch as channel;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::{NetworkPolicies, UserNamespaces};
use crate::facts::{self, Facts};
use crate::news::{self, Inbox};
use crate::queue::{self, Waker};
use crate::{Config, Health, Result, canary, disk, memory, reconcile, sweep, watch};

const FACTS: Duration = Duration::from_secs(5);
/// An API server that is silent for this long is down.
const SILENT: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(60);
const MEMORY: Duration = Duration::from_secs(15);
/// A container that began to run is asked within this.
const DISKS: Duration = Duration::from_secs(10);
const CANARY_RETRY: Duration = Duration::from_secs(10);
/// After this a pod that should be gone is forced out: its grace is two seconds.
const POD_GONE: Duration = Duration::from_secs(40);

/// What a pass needs.
pub(crate) struct Ctx {
    pub(crate) client: Client,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    pub(crate) types: InstanceTypes,
    pub(crate) installation: String,
    /// Containers are `<id>.compute.<domain>`.
    pub(crate) domain: String,
    pub(crate) facts: channel::Receiver<Facts>,
    pub(crate) waker: Waker,
    /// What the cluster told of containers between their passes.
    pub(crate) inbox: Inbox,
    trusted: AtomicBool,
    user_namespaces: AtomicBool,
    leaving: Mutex<HashMap<ContainerId, Instant>>,
}

impl Ctx {
    /// Whether the cluster has shown that it isolates what it runs.
    pub(crate) fn may_start(&self) -> bool {
        self.trusted.load(Ordering::Acquire)
    }

    /// Whether pods are given a user namespace: assumed until the canary has shown otherwise.
    pub(crate) fn has_user_namespaces(&self) -> bool {
        self.user_namespaces.load(Ordering::Acquire)
    }

    /// Whether this container's pod has been terminating for longer than a living node needs.
    pub(crate) fn waited_long_for_pod(&self, id: ContainerId) -> bool {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|_, since| since.elapsed() < POD_GONE * 4);
        leaving.entry(id).or_insert_with(Instant::now).elapsed() > POD_GONE
    }
}

#[expect(missing_debug_implementations, reason = "the cluster's client has none")]
pub struct Controller {
    client: Client,
    store: Arc<dyn Store>,
    config: Config,
    types: InstanceTypes,
    domain: String,
    health: Health,
}

impl Controller {
    pub fn new(client: Client, store: Arc<dyn Store>, config: Config, types: InstanceTypes, domain: String) -> Self {
        Self { client, store, config, types, domain, health: Health::default() }
    }

    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Works until `stop`; an API server that is down is waited for.
    ///
    /// # Errors
    /// When the database cannot name this installation.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<()> {
        let (waker, woken) = queue::channel();
        let (facts_sender, facts) = channel::channel(Facts::default());
        let ctx = Arc::new(Ctx {
            client: self.client.clone(),
            store: self.store.clone(),
            config: self.config.clone(),
            types: self.types.clone(),
            installation: self.store.installation().await?,
            domain: self.domain.clone(),
            facts: facts.clone(),
            waker: waker.clone(),
            inbox: Inbox::default(),
            trusted: AtomicBool::new(false),
            user_namespaces: AtomicBool::new(true),
            leaving: Mutex::default(),
        });
        let work = async {
            // Nothing is built before the first facts: a policy without the node's addresses would let it be reached.
            let mut ready = facts;
            if ready.changed().await.is_err() {
                return;
            }
            let pass = |id| {
                let ctx = ctx.clone();
                async move { reconcile::reconcile(&ctx, id).await }
            };
            tokio::join!(
                queue::run(woken, self.config.workers, stop.clone(), pass),
                watch::all(self.client.clone(), ctx.installation.clone(), waker),
                news::watch(&ctx),
                hints(&ctx),
                sweeps(&ctx),
                memories(&ctx),
                disks(&ctx),
                trust(&ctx),
            );
        };
        tokio::select! {
            () = work => {}
            () = self.facts(&ctx, facts_sender) => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }

    /// Reads the cluster's facts again and again: whether it answers, and what must not be reached.
    async fn facts(&self, ctx: &Ctx, sender: channel::Sender<Facts>) {
        let mut every = interval(FACTS);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match timeout(SILENT, facts::read(&self.client, &self.config)).await {
                Ok(Ok(read)) => {
                    self.health.well(read.architectures.clone());
                    let changed = *sender.borrow() != read;
                    if changed {
                        sender.send_replace(read);
                        wake_all(ctx).await;
                    }
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the cluster cannot be read");
                    self.health.trouble(
                        "the Kubernetes API server does not answer; containers stay as they are until it does"
                            .to_owned(),
                    );
                }
                Err(_silent) => {
                    self.health.trouble(
                        "the Kubernetes API server is silent; containers stay as they are until it answers".to_owned(),
                    );
                }
            }
        }
    }
}

async fn wake_all(ctx: &Ctx) {
    match ctx.store.all_ids().await {
        Ok(ids) => ids.into_iter().for_each(|id| ctx.waker.wake(id)),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the rows cannot be read"),
    }
}

async fn hints(ctx: &Ctx) {
    let mut hints = ctx.store.hints();
    wake_all(ctx).await;
    while let Some(hint) = hints.next().await {
        match hint {
            Hint::Listed { id, .. } | Hint::Changed { id, .. } => ctx.waker.wake(id),
            Hint::Resync => wake_all(ctx).await,
            Hint::Told { .. } | Hint::Removed { .. } | Hint::Credentials { .. } => {}
        }
    }
}

async fn sweeps(ctx: &Ctx) {
    let mut every = interval(SWEEP);
    loop {
        every.tick().await;
        if let Err(error) = sweep::sweep(ctx).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the sweep failed; it is tried again");
        }
        if let Err(error) = ctx.store.sweep_expired(Utc::now()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "expired sessions could not be removed");
        }
    }
}

async fn memories(ctx: &Ctx) {
    let mut every = interval(MEMORY);
    loop {
        every.tick().await;
        if let Err(error) = memory::record(ctx).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "memory in use is not known");
        }
    }
}

async fn disks(ctx: &Ctx) {
    let mut every = interval(DISKS);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = disk::Asked::new();
    loop {
        every.tick().await;
        if let Err(error) = disk::record(ctx, &mut asked).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "how full the disks are is not known");
        }
    }
}

/// Runs the canary until it has shown what the configuration asks for; until then nothing is started. What it showed of this
/// cluster before counts while it runs again: a restart of berthd delays nobody. Where the configuration asks for nothing, the
/// canary still shows whether pods can have a user namespace.
async fn trust(ctx: &Ctx) {
    let config = &ctx.config.isolation;
    let unchecked =
        config.network_policy == NetworkPolicies::Unenforced && config.user_namespaces == UserNamespaces::Preferred;
    match remembered(ctx).await {
        Ok(Some(shown)) if config.accepts(shown) => open(ctx, shown).await,
        Ok(_) => {}
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "what was shown before cannot be read"),
    }
    loop {
        match check(ctx).await {
            Ok(shown) if config.accepts(shown) => {
                open(ctx, shown).await;
                return;
            }
            Ok(shown) => {
                ctx.trusted.store(false, Ordering::Release);
                tracing::error!(
                    ?shown,
                    "this cluster does not isolate what it runs: nothing is started (berthd preflight says more)"
                );
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                if unchecked {
                    tracing::warn!(error, "the canary could not be run; nothing is asked of it, so containers start");
                    open(ctx, Isolation { policies_enforced: false, user_namespaces: true }).await;
                    return;
                }
                tracing::warn!(error, "the canary could not be run; it is tried again");
            }
        }
        tokio::time::sleep(CANARY_RETRY).await;
    }
}

/// What the canary showed of this very cluster the last time.
async fn remembered(ctx: &Ctx) -> Result<Option<Isolation>> {
    Ok(ctx.store.isolation(&facts::cluster_uid(&ctx.client).await?).await?)
}

async fn check(ctx: &Ctx) -> Result<Isolation> {
    let shown = canary::run(&ctx.client, &ctx.config, Some(&ctx.installation)).await?;
    ctx.store.record_isolation(&facts::cluster_uid(&ctx.client).await?, shown, Utc::now()).await?;
    Ok(shown)
}

/// Lets containers start.
async fn open(ctx: &Ctx, shown: Isolation) {
    let had = ctx.user_namespaces.swap(shown.user_namespaces, Ordering::AcqRel);
    if !ctx.trusted.swap(true, Ordering::AcqRel) || had != shown.user_namespaces {
        tracing::info!("the cluster isolates what it runs: containers may start");
        wake_all(ctx).await;
    }
}
