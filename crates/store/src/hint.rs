//! Wake-ups. A hint says which row to read again, never what it holds.

use std::sync::Arc;

use berth_core::id::{ContainerId, UserId};
use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hint {
    /// A container was created, or left its owner's list.
    Listed { id: ContainerId, owner: UserId },
    /// What is wanted or seen of a container changed.
    Changed { id: ContainerId, owner: UserId },
    /// Its timeline has more: everything above revision `since` is new, or changed.
    Told { id: ContainerId, owner: UserId, since: i64 },
    /// Nothing is left of it: its row is gone.
    Removed { id: ContainerId, owner: UserId },
    /// Sessions or tokens of a user ended: open sockets check theirs again.
    Credentials { owner: UserId },
    /// Some hints may be lost: read everything again.
    Resync,
}

/// An endless stream of hints.
pub type Hints = BoxStream<'static, Hint>;

/// Hands hints to every reader in the process. Bounded: a reader that falls behind is told to read everything again.
#[derive(Debug, Clone)]
pub(crate) struct Hub(Arc<broadcast::Sender<Hint>>);

const BACKLOG: usize = 1024;

impl Default for Hub {
    fn default() -> Self {
        Self(Arc::new(broadcast::channel(BACKLOG).0))
    }
}

impl Hub {
    pub(crate) fn post(&self, hint: Hint) {
        // No reader is no error.
        let _readers = self.0.send(hint);
    }

    pub(crate) fn subscribe(&self) -> Hints {
        let receive = |mut receiver: broadcast::Receiver<Hint>| async move {
            match receiver.recv().await {
                Ok(hint) => Some((hint, receiver)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((Hint::Resync, receiver)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        };
        futures::stream::unfold(self.0.subscribe(), receive).boxed()
    }

    /// Whether the store, or anything else but the caller, still holds it.
    pub(crate) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}
