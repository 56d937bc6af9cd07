//! One pass over one container: observe → decide → build → apply → record. It takes an id and nothing else, so every wake-up
//! takes the same path; a kill anywhere in it is continued by the next pass.

use std::time::Duration;

use berth_core::container::Container;
use berth_core::id::ContainerId;
use berth_core::lifecycle::{Desired, NamespaceState, Observed, Phase, Plan, RemoveStep, decide};
use berth_core::timeline::Seen;

use crate::build::{self, Objects};
use crate::controller::Ctx;
use crate::{Error, Result, apply, news, observe};

/// When to look again without a wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requeue {
    /// Against a watch that is lost or not allowed.
    After(Duration),
    Never,
}

const UNSETTLED: Duration = Duration::from_secs(3);
/// A settled container is looked at again this often, against drift that no watch told of.
const DRIFT: Duration = Duration::from_secs(300);

pub(crate) async fn reconcile(ctx: &Ctx, id: ContainerId) -> Result<Requeue> {
    let Some(row) = ctx.store.for_reconcile(id).await? else {
        ctx.inbox.forget(id);
        return Ok(Requeue::Never);
    };
    let (mut observed, seen) = observe::container(&ctx.client, &row, &ctx.installation).await?;
    let facts = ctx.facts.borrow().clone();
    let context = build::Context {
        config: &ctx.config,
        facts: &facts,
        types: &ctx.types,
        installation: &ctx.installation,
        domain: &ctx.domain,
        user_namespaces: ctx.has_user_namespaces(),
    };
    let replicas = if row.desired == Desired::Running { 1 } else { 0 };
    let exposure = ctx.store.exposure(id).await?;
    let objects = build::objects(&row, &exposure, replicas, &context);

    match decide(row.desired, &observed, &objects.hash) {
        // Nothing is started before the cluster has shown that it enforces policies. What runs already is closed at once
        // where a rule or a key went.
        plan @ (Plan::Run | Plan::Restart) if !ctx.may_start() => {
            if plan == Plan::Run && matches!(observed.namespace, NamespaceState::Active { .. }) {
                claim(ctx, &row, &observed, &objects).await?;
                apply::fences(&ctx.client, &row.names(), &objects, &observed.volume).await?;
                apply::route(&ctx.client, &row.names(), &objects).await?;
            }
            return record(ctx, &row, &observed, seen).await.map(|_| Requeue::After(UNSETTLED));
        }
        Plan::Run | Plan::Stop => match run(ctx, &row, &observed, &objects).await {
            Ok(()) => {}
            Err(Error::Refused(words)) => observed.refused = Some(words),
            // The container runs all the same; only nobody is led to it.
            Err(error @ Error::NoRoutes) => {
                tracing::error!(container = %id, "{error}");
                return record(ctx, &row, &observed, seen).await.map(|_| Requeue::After(UNSETTLED));
            }
            Err(error) => return Err(error),
        },
        Plan::Restart => apply::replace_pod(&ctx.client, &row).await?,
        Plan::Remove(step) => return remove(ctx, &row, &observed, step).await,
        Plan::Settled => {}
    }
    record(ctx, &row, &observed, seen).await
}

/// Fences, workload, route, in this order. A workload that is refused does not keep an old route.
async fn run(ctx: &Ctx, row: &Container, observed: &Observed, objects: &Objects) -> Result<()> {
    if !claim(ctx, row, observed, objects).await? {
        return Ok(());
    }
    let names = row.names();
    apply::fences(&ctx.client, &names, objects, &observed.volume).await?;
    let workload = apply::workload(&ctx.client, &names, objects).await;
    match workload {
        Ok(()) | Err(Error::Refused(_)) => apply::route(&ctx.client, &names, objects).await.and(workload),
        Err(error) => Err(error),
    }
}

/// Makes the namespace, or makes sure that it is the row's; `false` when it cannot be used now.
async fn claim(ctx: &Ctx, row: &Container, observed: &Observed, objects: &Objects) -> Result<bool> {
    match &observed.namespace {
        NamespaceState::Absent => {
            if let Some(uid) = &row.namespace_uid {
                ctx.store.release_namespace(row.id, uid).await?;
            }
            let uid = apply::create_namespace(&ctx.client, objects).await?;
            ctx.store.claim_namespace(row.id, &uid).await?;
        }
        NamespaceState::Active { uid } => ctx.store.claim_namespace(row.id, uid).await?,
        // `decide` never gives Run or Stop for these.
        NamespaceState::Terminating { .. } | NamespaceState::Foreign => return Ok(false),
    }
    Ok(true)
}

async fn remove(ctx: &Ctx, row: &Container, observed: &Observed, step: RemoveStep) -> Result<Requeue> {
    // Nobody can read its timeline any more.
    ctx.inbox.forget(row.id);
    match (step, &observed.namespace) {
        (RemoveStep::Route, _) => apply::remove_route(&ctx.client, &row.names()).await?,
        (RemoveStep::Workload, _) => apply::remove_workload(&ctx.client, &row.names()).await?,
        (RemoveStep::Namespace, NamespaceState::Active { uid }) => {
            apply::remove_namespace(&ctx.client, &row.names().namespace(), uid).await?;
        }
        (RemoveStep::Await, NamespaceState::Active { .. }) if ctx.waited_long_for_pod(row.id) => {
            apply::force_pod(&ctx.client, &row.names()).await?;
        }
        (RemoveStep::Row, _) => {
            ctx.store.remove_row(row.id).await?;
            tracing::info!(container = %row.id, "removed");
            return Ok(Requeue::Never);
        }
        (RemoveStep::Namespace | RemoveStep::Await, _) => {}
    }
    // The watch wakes this id when the pod or the namespace goes; the timer is for a watch that was lost.
    Ok(Requeue::After(UNSETTLED))
}

/// The timeline first: what was seen then is known to be told once the row says that it was seen.
async fn record(ctx: &Ctx, row: &Container, observed: &Observed, seen: Seen) -> Result<Requeue> {
    let status = berth_core::lifecycle::status(row.desired, observed);
    news::tell(ctx, row, observed, seen, status.transition.is_none()).await?;
    if ctx.store.record_observed(row.id, row.generation, observed).await? && status.phase != row.status.phase {
        tracing::info!(container = %row.id, status = status.phase.as_str(), message = status.message, "changed");
    }
    let settled = status.transition.is_none() && (status.phase == Phase::Running || status.phase == Phase::Stopped);
    Ok(Requeue::After(if settled { DRIFT } else { UNSETTLED }))
}
