//! What was used already. A nonce is kept until its grant could not be used any more.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

/// The nonces of grants that opened a connection and are still good.
#[derive(Debug)]
pub struct Nonces {
    capacity: usize,
    /// By expiry, so that the old are found at the front.
    used: BTreeSet<(DateTime<Utc>, [u8; 16])>,
}

/// Too many grants at once. Forgetting one of them instead would let it be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Nonces {
    pub fn new(capacity: usize) -> Self {
        Self { capacity, used: BTreeSet::new() }
    }

    /// Whether this is its first use.
    ///
    /// # Errors
    /// [`Full`] when no more can be kept until the oldest expires.
    pub(crate) fn first_use(
        &mut self,
        nonce: [u8; 16],
        expires: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, Full> {
        while self.used.first().is_some_and(|(until, _)| *until < now) {
            self.used.pop_first();
        }
        if self.used.iter().any(|(_, used)| *used == nonce) {
            return Ok(false);
        }
        if self.used.len() >= self.capacity {
            return Err(Full);
        }
        Ok(self.used.insert((expires, nonce)))
    }

    pub fn len(&self) -> usize {
        self.used.len()
    }

    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }
}
