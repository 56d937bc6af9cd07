//! Wake-ups. A hint says which row to read again, never what it holds.

use berth_core::id::{ContainerId, UserId};
use futures::stream::BoxStream;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// A container was created, or left its owner's list.
    Listed { id: ContainerId, owner: UserId },
    /// What is wanted or seen of a container changed.
    Changed { id: ContainerId, owner: UserId },
    /// Sessions or tokens of a user ended: open sockets check theirs again.
    Credentials { owner: UserId },
    /// Some hints may be lost: read everything again.
    Resync,
}

/// An endless stream of hints.
pub type Hints = BoxStream<'static, Hint>;
