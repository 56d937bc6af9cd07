//! Connections that have not logged in yet. Whoever comes is let in; when there are too many, the oldest of those that take
//! the most room leaves. So an attacker pushes out his own: somebody who logs in at once is gone from here before it is his
//! turn, and one address cannot close the gateway to the others.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::places::network;

/// Of one address (of IPv6, one network of 64 bits): a school behind one address, or everybody behind a load balancer, logs in
/// by the dozen within a second, not by the hundred.
const MAX_OF_ADDRESS: usize = 128;
/// Of all: each is a socket and a few kilobytes.
const MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Unknown(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    next: u64,
    all: usize,
    /// By arrival.
    of: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
}

/// A connection's place, until it logs in or ends.
#[derive(Debug)]
pub(super) struct Ticket {
    unknown: Arc<Unknown>,
    address: IpAddr,
    number: u64,
    pushed_out: CancellationToken,
}

impl Unknown {
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Ticket {
        let address = network(address);
        let pushed_out = CancellationToken::new();
        let mut rows = self.rows();
        let number = rows.next;
        rows.next += 1;
        rows.of.entry(address).or_default().insert(number, pushed_out.clone());
        rows.all += 1;
        if rows.of.get(&address).is_some_and(|own| own.len() > MAX_OF_ADDRESS) {
            rows.push_out(address);
        } else if rows.all > MAX {
            let largest = rows.of.iter().max_by_key(|(_, own)| own.len()).map(|(address, _)| *address);
            largest.into_iter().for_each(|address| rows.push_out(address));
        }
        Ticket { unknown: self.clone(), address, number, pushed_out }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn push_out(&mut self, address: IpAddr) {
        let oldest = self.of.get(&address).and_then(|own| own.first_key_value());
        if let Some((number, pushed_out)) = oldest.map(|(number, token)| (*number, token.clone())) {
            pushed_out.cancel();
            self.leave(address, number);
        }
    }

    fn leave(&mut self, address: IpAddr, number: u64) {
        let Some(own) = self.of.get_mut(&address) else { return };
        if own.remove(&number).is_some() {
            self.all -= 1;
        }
        if own.is_empty() {
            self.of.remove(&address);
        }
    }
}

impl Ticket {
    /// Until this connection has to make room.
    pub(super) async fn pushed_out(&self) {
        self.pushed_out.cancelled().await;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.unknown.rows().leave(self.address, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> IpAddr {
        let [.., a, b] = number.to_be_bytes();
        [10, 0, a, b].into()
    }

    #[test]
    fn an_address_pushes_out_its_own_oldest() {
        let unknown = Arc::new(Unknown::default());
        let guest = unknown.enter(address(1));
        let crowd: Vec<_> = (0..MAX_OF_ADDRESS * 3).map(|_| unknown.enter(address(2))).collect();
        assert!(!guest.pushed_out.is_cancelled());
        let left = crowd.iter().filter(|ticket| !ticket.pushed_out.is_cancelled()).count();
        assert_eq!(left, MAX_OF_ADDRESS);
        assert!(crowd.last().is_some_and(|ticket| !ticket.pushed_out.is_cancelled()));
        drop((guest, crowd));
        let rows = unknown.rows();
        assert!(rows.all == 0 && rows.of.is_empty());
    }

    #[test]
    fn many_addresses_push_out_the_largest() {
        let unknown = Arc::new(Unknown::default());
        let crowd: Vec<_> = (0..MAX_OF_ADDRESS).map(|_| unknown.enter(address(1))).collect();
        let others: Vec<_> = (2..2 + MAX).map(|number| unknown.enter(address(number))).collect();
        assert!(crowd.iter().filter(|ticket| ticket.pushed_out.is_cancelled()).count() >= MAX_OF_ADDRESS - 1);
        assert!(others.last().is_some_and(|ticket| !ticket.pushed_out.is_cancelled()));
        assert_eq!(unknown.rows().all, MAX);
    }
}
