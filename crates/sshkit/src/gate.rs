//! What clients may send before somebody has taken it.
//!
//! The library widens a channel's window as soon as bytes arrive, to a size that all channels of a connection share and that
//! it asks for each time. To read no further instead would also stop the client's own widening: a filter that is sent much
//! and answers much would wait for itself. So the size is what is turned down: to [`CLOSED`], while the channel that asks has
//! more waiting than it should. Such a channel is sent two bytes at a time, each of which asks anew; everything else flows.
//!
//! The same size keeps exchanges of keys alive. What clients had sent before they heard of one is bounded by the library to
//! two windows for all channels together, so channels that send at once share one. And Debian 12's asyncssh sends on during an
//! exchange, which RFC 4253 (7.1) forbids and the library ends the connection for: by the time keys are due it is given so
//! little to send that whoever has much to send has used it up when the exchange begins.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::ChannelId;

/// Bytes that a client may send ahead on one channel.
pub const WINDOW: u32 = 2 << 20;
/// The library widens a window once less than half of the size is left: with 2, when nothing is.
const CLOSED: u32 = 2;
/// Between two widenings of that size, so that a stuck channel costs no work.
pub const PAUSE: Duration = Duration::from_millis(10);
/// Bytes that may wait for one destination before its window is closed.
const LIMIT: usize = WINDOW as usize;
/// Channels are counted as sending that are among so many last ones that asked.
const ASKED: usize = 32;
/// Bytes that a client may send on one connection before it is asked for new keys. Less than a GiB, after which clients ask
/// themselves: one that does it wrongly never gets there.
pub const KEYS_AFTER: u64 = 512 << 20;
/// How such a client begins.
const HASTY: &[u8] = b"SSH-2.0-AsyncSSH_2.10.1";
/// What it may send ahead then. Its streams hold back their writers while more than 16 KiB wait.
const HASTY_WINDOW: u32 = 32 << 10;
/// Bytes before and after keys are due, as far as it can be told from here: the library says nothing of exchanges.
const SLOW: std::ops::Range<u64> = KEYS_AFTER - (6 << 20)..KEYS_AFTER + (6 << 20);
/// What the library counts of a packet beside its data, with the empty one that asyncssh sends ahead of each.
const HEAD: u64 = 14;

/// Bytes that may wait for all destinations of a process together, before every window is closed.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }
}

/// Of one connection.
#[derive(Debug)]
pub struct Gate {
    all: Arc<Budget>,
    waiting: Mutex<HashMap<ChannelId, usize>>,
    asked: Mutex<VecDeque<ChannelId>>,
    arrived: AtomicU64,
    hasty: AtomicBool,
}

impl Gate {
    /// `all` is shared by every connection.
    pub fn new(all: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            all,
            waiting: Mutex::default(),
            asked: Mutex::default(),
            arrived: AtomicU64::new(0),
            hasty: AtomicBool::new(false),
        })
    }

    /// What the client calls itself.
    pub fn meet(&self, client: &[u8]) {
        self.hasty.store(client.trim_ascii() == HASTY, Ordering::Relaxed);
    }

    pub fn add(&self, channel: ChannelId, bytes: usize) {
        *self.waiting().entry(channel).or_default() += bytes;
        self.all.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn remove(&self, channel: ChannelId, bytes: usize) {
        let mut waiting = self.waiting();
        if let Some(left) = waiting.get_mut(&channel) {
            *left -= bytes;
            if *left == 0 {
                waiting.remove(&channel);
            }
        }
        self.all.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The size to which windows are widened next.
    pub fn size(&self, channel: ChannelId) -> u32 {
        if self.is_full(channel) {
            return CLOSED;
        }
        let shared = WINDOW / self.senders(channel);
        if self.hasty.load(Ordering::Relaxed) && self.keys_are_near() { shared.min(HASTY_WINDOW) } else { shared }
    }

    fn keys_are_near(&self) -> bool {
        let arrived = self.arrived.load(Ordering::Relaxed);
        let since = arrived % KEYS_AFTER;
        // The end of the range lies after the next multiple.
        SLOW.contains(&since) || (arrived > KEYS_AFTER && SLOW.contains(&(since + KEYS_AFTER)))
    }

    /// Of bytes that arrived: whether they came one by one because the channel is stuck.
    pub fn arrived(&self, channel: ChannelId, bytes: usize) -> bool {
        self.arrived.fetch_add(bytes as u64 + HEAD, Ordering::Relaxed);
        bytes <= CLOSED as usize && self.is_full(channel)
    }

    fn is_full(&self, channel: ChannelId) -> bool {
        let own = self.waiting().get(&channel).copied().unwrap_or(0);
        own > LIMIT || self.all.used.load(Ordering::Relaxed) > self.all.limit
    }

    /// How many channels send at once, of which this one is one.
    fn senders(&self, channel: ChannelId) -> u32 {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push_back(channel);
        if asked.len() > ASKED {
            asked.pop_front();
        }
        asked.iter().collect::<HashSet<_>>().len().try_into().unwrap_or(u32::MAX)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<ChannelId, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use russh::keys::ssh_encoding::Decode;

    use super::*;

    fn channel(number: u32) -> ChannelId {
        ChannelId::decode(&mut &number.to_be_bytes()[..]).unwrap()
    }

    #[test]
    fn channels_that_send_at_once_share_a_window() {
        let gate = Gate::new(Budget::new(1 << 30));
        assert_eq!(gate.size(channel(1)), WINDOW);
        assert_eq!(gate.size(channel(2)), WINDOW / 2);
        assert_eq!(gate.size(channel(1)), WINDOW / 2);
        // One that asks no more gives its share back.
        let sizes: Vec<u32> = (0..ASKED).map(|_| gate.size(channel(2))).collect();
        assert_eq!(sizes.last(), Some(&WINDOW));
    }

    #[test]
    fn a_client_that_sends_during_an_exchange_has_little_to_send_when_one_is_due() {
        let channel = channel(1);
        for (client, expected) in [(HASTY, HASTY_WINDOW), (&b"SSH-2.0-OpenSSH_9.2p1"[..], WINDOW)] {
            let gate = Gate::new(Budget::new(1 << 30));
            gate.meet(client);
            for round in 1..4 {
                let before = |bytes: u64| {
                    let to = round * KEYS_AFTER - bytes;
                    let left = to - gate.arrived.load(Ordering::Relaxed) - HEAD;
                    gate.arrived(channel, usize::try_from(left).unwrap_or(0));
                    gate.size(channel)
                };
                assert_eq!(before(7 << 20), WINDOW, "{round}");
                assert_eq!(before(5 << 20), expected, "{round}");
                assert_eq!(before(1 << 10), expected, "{round}");
            }
        }
    }
}
