//! What the cluster tells of containers beside their objects. Event objects are watched: those that a timeline tells are kept
//! here until the container's next pass has recorded them. A pass is mostly due anyway, for the pod changed too, so one
//! is asked for only when none came within a moment. Berthd that was killed loses nothing: the watch lists again what the
//! cluster keeps, an hour, and what was recorded before has the same keys.

use std::collections::{HashMap, HashSet, hash_map};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_core::container::Container;
use berth_core::id::ContainerId;
use berth_core::lifecycle::{Desired, NamespaceState, Observed};
use berth_core::names::parse_namespace;
use berth_core::timeline::{Entry, Notice, Seen, entries};
use chrono::Utc;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Event as EventObject;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio_util::time::DelayQueue;

use crate::controller::Ctx;
use crate::{Result, seen};

/// A pass that something else wakes mostly comes sooner.
const PATIENCE: Duration = Duration::from_millis(500);
/// Of one container between two passes; what is beyond is counted up in what is there, or told by the pod.
const MOST: usize = 64;
/// Not sent to us at all. What a start brings is read by its passes; and a kubelet says `Pulled` of every running pod with an
/// image volume every minute or so, which would be most of what 10,000 idle containers cost.
const LEFT_OUT: &str = "involvedObject.kind!=Node,reason!=Pulled,reason!=Created,reason!=Started,reason!=Scheduled,\
                        reason!=SuccessfulCreate,reason!=Provisioning,reason!=ExternalProvisioning,reason!=SuccessfulDelete";

/// By container and by the Event's UID.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<HashMap<ContainerId, HashMap<String, Notice>>>);

impl Inbox {
    fn put(&self, id: ContainerId, notice: Notice) {
        let mut all = self.all();
        let own = all.entry(id).or_default();
        let full = own.len() >= MOST;
        match own.entry(notice.uid.clone()) {
            hash_map::Entry::Occupied(mut known) => drop(known.insert(notice)),
            hash_map::Entry::Vacant(free) if !full => drop(free.insert(notice)),
            hash_map::Entry::Vacant(_) => {}
        }
    }

    fn look(&self, id: ContainerId) -> Vec<Notice> {
        self.all().get(&id).map(|own| own.values().cloned().collect()).unwrap_or_default()
    }

    /// Those that changed meanwhile stay.
    fn done(&self, id: ContainerId, told: &[Notice]) {
        let mut all = self.all();
        let Some(own) = all.get_mut(&id) else { return };
        own.retain(|_, notice| !told.contains(notice));
        if own.is_empty() {
            all.remove(&id);
        }
    }

    /// There is no such container here, or nobody who could read of it.
    pub(crate) fn forget(&self, id: ContainerId) {
        self.all().remove(&id);
    }

    fn holds(&self, id: ContainerId) -> bool {
        self.all().contains_key(&id)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ContainerId, HashMap<String, Notice>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events have no labels, so they are known by their namespace's name. Another installation's containers have no row here: the
/// pass that is asked for finds none.
pub(crate) async fn watch(ctx: &Ctx) {
    let config = watcher::Config::default().fields(LEFT_OUT);
    let mut events = watcher(Api::<EventObject>::all(ctx.client.clone()), config).default_backoff().boxed();
    let mut timers: DelayQueue<ContainerId> = DelayQueue::new();
    let mut planned: HashSet<ContainerId> = HashSet::new();
    let mut deaf = false;
    loop {
        tokio::select! {
            Some(event) = events.next() => match event {
                Ok(Event::Apply(event) | Event::InitApply(event)) => {
                    let namespace = event.involved_object.namespace.as_deref().unwrap_or_default();
                    let Some(names) = parse_namespace(namespace) else { continue };
                    let Some(notice) = seen::notice(&event).filter(|notice| notice.entry().is_some()) else { continue };
                    ctx.inbox.put(names.id, notice);
                    if planned.insert(names.id) {
                        timers.insert(names.id, PATIENCE);
                    }
                }
                Ok(Event::InitDone) => deaf = false,
                Ok(Event::Delete(_) | Event::Init) => {}
                Err(error) if deaf => tracing::debug!(%error, "events cannot be watched; it is tried again"),
                Err(error) => {
                    deaf = true;
                    tracing::warn!(%error, "events cannot be watched: timelines tell some things late, or not (deploy/rbac.yaml allows it)");
                }
            },
            Some(expired) = timers.next() => {
                let id = expired.into_inner();
                planned.remove(&id);
                if ctx.inbox.holds(id) {
                    ctx.waker.wake(id);
                }
            }
            else => return,
        }
    }
}

/// Records what this pass saw and what was told since the last. One that finds everything as it was, with nothing under way and
/// nothing told, has nothing to record.
pub(crate) async fn tell(ctx: &Ctx, row: &Container, observed: &Observed, mut seen: Seen, quiet: bool) -> Result<()> {
    let ours = match observed.namespace {
        NamespaceState::Active { .. } | NamespaceState::Terminating { .. } => row.desired != Desired::Deleted,
        NamespaceState::Absent | NamespaceState::Foreign => false,
    };
    if !ours {
        ctx.inbox.forget(row.id);
        return Ok(());
    }
    let told = ctx.inbox.look(row.id);
    if quiet && told.is_empty() && *observed == row.observed {
        return Ok(());
    }
    let now = Utc::now();
    seen.notices.extend(told.iter().cloned());
    let mut found = entries(&seen, now);
    found.extend(Entry::stopped(row, observed, now));
    ctx.store.record_entries(row.id, &found).await?;
    ctx.inbox.done(row.id, &told);
    Ok(())
}
