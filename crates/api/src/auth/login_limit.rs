//! Attempts are limited: logins per account and per address, so that neither one account nor one guesser gets far, and
//! denied calls per user.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Above this many remembered keys those that are idle are forgotten.
const REMEMBERED: usize = 10_000;

/// So many a minute for each key.
#[derive(Debug)]
pub(crate) struct Limit<K: Hash + Eq + Clone>(DefaultKeyedRateLimiter<K>);

impl<K: Hash + Eq + Clone> Limit<K> {
    pub(crate) fn per_minute(number: u32) -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))))
    }

    /// Counts an attempt; `false` when there were too many.
    pub(crate) fn admit(&self, key: K) -> bool {
        if self.0.len() > REMEMBERED {
            self.0.retain_recent();
        }
        self.0.check_key(&key).is_ok()
    }
}

#[derive(Debug)]
pub(crate) struct LoginLimit {
    accounts: Limit<String>,
    addresses: Limit<IpAddr>,
}

impl LoginLimit {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { accounts: Limit::per_minute(per_minute), addresses: Limit::per_minute(per_minute) }
    }

    /// Counts an attempt; `false` when there were too many. An address that has had its share does not use up an account's.
    pub(crate) fn admit(&self, account: &str, address: Option<IpAddr>) -> bool {
        self.admit_address(address) && self.accounts.admit(account.chars().take(64).collect())
    }

    /// Counts an attempt that names no account.
    pub(crate) fn admit_address(&self, address: Option<IpAddr>) -> bool {
        address.is_none_or(|address| self.addresses.admit(whole(address)))
    }
}

/// Whoever has one IPv6 address has its whole /64.
fn whole(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_a_64_share_their_attempts() {
        let limit = LoginLimit::new(2);
        let from = |text: &str| Some(text.parse().unwrap());
        assert!(limit.admit_address(from("2001:db8::1")) && limit.admit_address(from("2001:db8::2")));
        assert!(!limit.admit_address(from("2001:db8::3")));
        assert!(limit.admit_address(from("2001:db8:0:1::1")));
        assert!(limit.admit_address(from("192.0.2.1")) && limit.admit_address(from("192.0.2.2")));
    }

    #[test]
    fn a_guesser_that_is_held_back_does_not_lock_an_account() {
        let limit = LoginLimit::new(2);
        for _ in 0..10 {
            limit.admit("other", Some("192.0.2.1".parse().unwrap()));
            limit.admit("ann", Some("192.0.2.1".parse().unwrap()));
        }
        assert!(limit.admit("ann", Some("192.0.2.2".parse().unwrap())));
    }
}
