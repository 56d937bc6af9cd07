//! How many requests of one user may wait at once: each costs a little memory and a reader of hints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_core::id::UserId;

const PER_USER: usize = 32;

#[derive(Debug, Clone, Default)]
pub(crate) struct Waits(Arc<Mutex<HashMap<UserId, usize>>>);

/// One waiting request; ends with this value.
#[derive(Debug)]
pub(crate) struct Slot {
    waits: Waits,
    user: UserId,
}

impl Waits {
    /// `None` when the user has too many already.
    pub(crate) fn admit(&self, user: UserId) -> Option<Slot> {
        let mut counts = self.counts();
        let count = counts.entry(user).or_default();
        if *count >= PER_USER {
            return None;
        }
        *count += 1;
        metrics::gauge!("berth_waiting_requests").increment(1.0);
        Some(Slot { waits: self.clone(), user })
    }

    pub(crate) fn total(&self) -> usize {
        self.counts().values().sum()
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.waits.counts();
        if let Some(count) = counts.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.user);
            }
        }
        metrics::gauge!("berth_waiting_requests").decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_their_share_and_get_it_back() {
        let waits = Waits::default();
        let mut slots: Vec<_> = (0..PER_USER).map(|_| waits.admit(UserId(7)).unwrap()).collect();
        assert!(waits.admit(UserId(7)).is_none());
        assert!(waits.admit(UserId(8)).is_some());
        slots.pop();
        slots.push(waits.admit(UserId(7)).unwrap());
        assert!(waits.admit(UserId(7)).is_none());
        drop(slots);
        assert!(waits.counts().is_empty());
    }
}
