//! The bytes of one connection, for the audit log: they are those of the container that it stands on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use berth_core::id::ContainerId;

use crate::audit::Open;

#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: Option<(ContainerId, Open)>,
    /// The first request's, before it is known whose.
    early: u64,
}

impl Tally {
    pub(crate) fn received(&self, bytes: usize) {
        let mut state = self.state();
        match &mut state.open {
            Some((_, open)) => open.received(bytes as u64),
            None => state.early += bytes as u64,
        }
    }

    pub(crate) fn sent(&self, bytes: usize) {
        if let Some((_, open)) = &mut self.state().open {
            open.sent(bytes as u64);
        }
    }

    /// From here on they are this container's; those of another one are recorded.
    pub(crate) fn stand_on(&self, id: ContainerId, open: impl FnOnce() -> Open) {
        let mut state = self.state();
        if state.open.as_ref().is_none_or(|(now, _)| *now != id) {
            let mut open = open();
            open.received(std::mem::take(&mut state.early));
            state.open = Some((id, open));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
