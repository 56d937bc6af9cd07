//! Waits for a container to come to something. Nothing is polled: hints wake a waiting request, which reads the row again.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use berth_core::Invalid;
use berth_core::access::{Grant, Read};
use berth_core::container::Container;
use berth_core::lifecycle::{Desired, Goal, Verdict, judge};
use berth_store::Hint;
use berth_wire::Waited;
use tokio::time::{Instant, sleep_until};

use super::query;
use crate::auth::Caller;
use crate::error::{Kind, Problem};
use crate::routes::containers::{parse_id, view};
use crate::sockets::lifeline::{End, Lifeline, Task};
use crate::state::Api;

const DEFAULT_SECONDS: u64 = 60;
const MAX_SECONDS: u64 = 600;

/// Waits until the container runs, is stopped, is really gone, or has settled (`running`, `stopped` or `failed` with nothing under
/// way), and answers at once when it is so already. `reached` is false when the time is up, with the last reason, and at once
/// when waiting does not help: for `running` when the container failed, or is to be stopped or deleted; for `stopped` and
/// `settled` when it is to be deleted. `deleted` is reached when disk, namespace and row are gone, and for an id that is
/// not there. A 503 means that the server is restarting: ask again.
#[utoipa::path(get, path = "/compute/containers/{id}/wait", tag = "containers", operation_id = "wait_for_container",
    params(("id" = String, Path),
        ("for" = Option<String>, Query, description = "`running`, `stopped`, `deleted` or `settled`; `settled` when left out", example = "running"),
        ("timeout" = Option<u64>, Query, description = "seconds, 1 to 600; 60 when left out")),
    responses((status = 200, body = Waited), (status = 404, body = berth_wire::Problem), (status = 422, body = berth_wire::Problem),
        (status = 429, body = berth_wire::Problem)))]
pub(crate) async fn wait(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Waited>, Problem> {
    let grant = caller.actor.may::<Read>(parse_id(&id)?)?;
    let (goal, timeout) = parse(query.as_deref())?;
    let until = Instant::now() + timeout;
    // Hints are heard before the row is read: a change in between is not missed.
    let mut lifeline = Lifeline::new(api.clone(), caller);
    lifeline.check_credential().await.map_err(problem)?;
    let first = api.store.remains(&grant).await?;
    if goal != Goal::Deleted && first.as_ref().is_none_or(is_deleted) {
        return Err(Problem::not_found());
    }
    // One that is counted has read its row: whatever comes from now on wakes it.
    let Some(_slot) = api.waits.admit(grant.owner()) else {
        return Err(Problem::new(Kind::TooManyRequests, "too many of your requests are waiting; let some of them end"));
    };
    let (row, reached) = settle(&api, &grant, goal, lifeline, first, until).await?;
    Ok(Json(answer(&api, goal, reached, row.as_ref())))
}

/// The row as it was when waiting ended, and whether the goal was reached.
async fn settle(
    api: &Api,
    grant: &Grant<Read>,
    goal: Goal,
    mut lifeline: Lifeline,
    mut row: Option<Container>,
    until: Instant,
) -> Result<(Option<Container>, bool), Problem> {
    loop {
        match judge(goal, row.as_ref().map(|row| (row.desired, &row.status))) {
            Verdict::Reached => return Ok((row, true)),
            Verdict::Hopeless => return Ok((row, false)),
            Verdict::NotYet => {}
        }
        if !changed(api, grant, &mut lifeline, until).await? {
            return Ok((row, false));
        }
        row = api.store.remains(grant).await?;
    }
}

/// Waits for a word on this container; `false` when the time is up.
async fn changed(api: &Api, grant: &Grant<Read>, lifeline: &mut Lifeline, until: Instant) -> Result<bool, Problem> {
    loop {
        let beat = tokio::select! {
            biased;
            () = api.stopping.cancelled() => {
                return Err(Problem::new(Kind::Unavailable, "the server is restarting; ask again in a moment"));
            }
            beat = lifeline.beat() => beat,
            () = sleep_until(until) => return Ok(false),
        };
        // The connection itself tells when the client is gone.
        lifeline.heard.now();
        match lifeline.attend(beat).await.map_err(problem)? {
            Task::Hint(Hint::Changed { id, .. } | Hint::Listed { id, .. } | Hint::Removed { id, .. }) => {
                if id == grant.target() {
                    return Ok(true);
                }
            }
            Task::Hint(Hint::Resync) => return Ok(true),
            Task::Hint(Hint::Told { .. } | Hint::Credentials { .. }) | Task::Ping | Task::Nothing => {}
        }
    }
}

fn answer(api: &Api, goal: Goal, reached: bool, row: Option<&Container>) -> Waited {
    let status = row.map(|row| &row.status);
    Waited {
        reached,
        goal: goal.as_str().to_owned(),
        status: status.map(|status| status.phase.as_str().to_owned()),
        transition: status.and_then(|status| Some(status.transition?.as_str().to_owned())),
        reason: status.and_then(|status| Some(status.reason?.as_str().to_owned())),
        message: status.and_then(|status| status.message.clone()),
        container: row.filter(|row| !is_deleted(row)).map(|row| view(api, row)),
    }
}

/// Its owner sees it nowhere any more.
fn is_deleted(row: &Container) -> bool {
    row.desired == Desired::Deleted
}

fn problem(end: End) -> Problem {
    match end {
        End::Unauthenticated => Problem::unauthenticated(),
        End::Gone | End::Failed | End::Because { .. } => {
            Problem::new(Kind::Unavailable, "the server cannot wait any more; ask again in a moment")
        }
    }
}

fn parse(query: Option<&str>) -> Result<(Goal, Duration), Problem> {
    let [goal, timeout] = query::named(query, ["for", "timeout"])?;
    let goal = goal.map_or(Ok(Goal::Settled), |text| text.parse());
    let goal = goal.map_err(|_| Invalid::new("for", "wait for running, stopped, deleted or settled"))?;
    let seconds = timeout.map_or(Some(DEFAULT_SECONDS), |text| text.parse().ok());
    let seconds = seconds.filter(|seconds| (1..=MAX_SECONDS).contains(seconds));
    let seconds = seconds.ok_or_else(|| Invalid::new("timeout", format!("a timeout is 1 to {MAX_SECONDS} seconds")))?;
    Ok((goal, Duration::from_secs(seconds)))
}
