//! How many connections lead to one container: an agent accepts a limited number, and one person's tools must not take all
//! of them, or all of the gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_core::id::ContainerId;

/// An agent has 256; a second gateway, and this one's successor, are to find some free.
const MAX: usize = 192;

#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<ContainerId, usize>>);

#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    container: ContainerId,
}

impl Places {
    /// `None` when all are taken.
    pub(super) fn take(self: &Arc<Self>, container: ContainerId) -> Option<Place> {
        let mut taken = self.taken();
        let count = taken.entry(container).or_default();
        if *count >= MAX {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), container })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<ContainerId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.container) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.container);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;

    #[test]
    fn a_container_has_so_many_and_gets_them_back() {
        let places = Arc::new(Places::default());
        let (a, b) = ("bcdfghjk".parse().unwrap(), "bcdfghjm".parse().unwrap());
        let all: Vec<_> = (0..MAX).map(|_| places.take(a).unwrap()).collect();
        assert!(places.take(a).is_none() && places.take(b).is_some());
        drop(all);
        assert!(places.taken().is_empty() && places.take(a).is_some());
    }
}
