//! Login attempts are limited per account and per address, so that neither one account nor one guesser gets far.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

#[derive(Debug)]
pub(crate) struct LoginLimit {
    accounts: DefaultKeyedRateLimiter<String>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
}

/// Above this many remembered names or addresses those that are idle are forgotten.
const REMEMBERED: usize = 10_000;

impl LoginLimit {
    pub(crate) fn new(per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self { accounts: RateLimiter::keyed(quota), addresses: RateLimiter::keyed(quota) }
    }

    /// Counts an attempt; `false` when there were too many.
    pub(crate) fn admit(&self, account: &str, address: Option<IpAddr>) -> bool {
        if self.accounts.len() > REMEMBERED || self.addresses.len() > REMEMBERED {
            self.accounts.retain_recent();
            self.addresses.retain_recent();
        }
        let account: String = account.chars().take(64).collect();
        let account_ok = self.accounts.check_key(&account).is_ok();
        let address_ok = address.is_none_or(|address| self.addresses.check_key(&address).is_ok());
        account_ok && address_ok
    }
}
