//! Which containers to look at, and when: one pass per id at a time, wake-ups during a pass are not lost, failures back off
//! per id.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use berth_core::id::ContainerId;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::time::{DelayQueue, delay_queue};

use crate::Result;
use crate::reconcile::Requeue;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(15);

/// Wakes ids; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Waker(mpsc::UnboundedSender<ContainerId>);

impl Waker {
    pub(crate) fn wake(&self, id: ContainerId) {
        // The queue ends only with the controller.
        let _ended = self.0.send(id).is_err();
    }
}

pub(crate) fn channel() -> (Waker, mpsc::UnboundedReceiver<ContainerId>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Waker(sender), receiver)
}

/// Works until told to stop; passes under way are dropped then, which is as safe as a kill.
pub(crate) async fn run<F, Fut>(
    mut woken: mpsc::UnboundedReceiver<ContainerId>,
    workers: usize,
    stop: CancellationToken,
    pass: F,
) where
    F: Fn(ContainerId) -> Fut,
    Fut: Future<Output = Result<Requeue>>,
{
    let mut waiting: Vec<ContainerId> = Vec::new();
    let mut busy: HashSet<ContainerId> = HashSet::new();
    let mut again: HashSet<ContainerId> = HashSet::new();
    let mut failures: HashMap<ContainerId, u32> = HashMap::new();
    let mut timers: DelayQueue<ContainerId> = DelayQueue::new();
    let mut keys: HashMap<ContainerId, delay_queue::Key> = HashMap::new();
    let mut passes = FuturesUnordered::new();
    loop {
        while busy.len() < workers.max(1) {
            let Some(at) = waiting.iter().position(|id| !busy.contains(id)) else { break };
            let id = waiting.remove(at);
            busy.insert(id);
            if let Some(key) = keys.remove(&id) {
                timers.remove(&key);
            }
            let work = pass(id);
            passes.push(async move { (id, work.await) });
        }
        tokio::select! {
            () = stop.cancelled() => return,
            Some(id) = woken.recv() => enqueue(id, &busy, &mut again, &mut waiting),
            Some(expired) = timers.next() => {
                let id = expired.into_inner();
                keys.remove(&id);
                enqueue(id, &busy, &mut again, &mut waiting);
            }
            Some((id, done)) = passes.next() => {
                busy.remove(&id);
                let delay = match done {
                    Ok(requeue) => {
                        failures.remove(&id);
                        match requeue {
                            Requeue::After(delay) => Some(delay),
                            Requeue::Never => None,
                        }
                    }
                    Err(error) => {
                        let count = failures.entry(id).or_default();
                        *count += 1;
                        let delay = FIRST_RETRY.saturating_mul(1 << (*count).min(10)).min(LAST_RETRY);
                        // A conflict only says that somebody was faster; the next pass sees what they did.
                        if error.code() == Some(409) {
                            tracing::debug!(container = %id, "was changed meanwhile");
                        } else {
                            tracing::warn!(container = %id, error = &error as &dyn std::error::Error, "a pass failed; it is tried again");
                        }
                        Some(delay)
                    }
                };
                if again.remove(&id) {
                    waiting.push(id);
                } else if let Some(delay) = delay {
                    keys.insert(id, timers.insert(id, delay));
                }
            }
        }
    }
}

fn enqueue(
    id: ContainerId,
    busy: &HashSet<ContainerId>,
    again: &mut HashSet<ContainerId>,
    waiting: &mut Vec<ContainerId>,
) {
    if busy.contains(&id) {
        again.insert(id);
    } else if !waiting.contains(&id) {
        waiting.push(id);
    }
}
