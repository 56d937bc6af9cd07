//! What is known of the issuer: its discovery document and its keys, asked for at first use and again now and then. One
//! request asks, the others wait for what it learns; an issuer that is down is not asked by everybody.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use openidconnect::IssuerUrl;
use openidconnect::core::CoreProviderMetadata;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::http::Client;
use crate::error::{Kind, Problem};

/// Keys that the issuer withdrew are believed no longer than this …
const FRESH: Duration = Duration::from_secs(10 * 60);
/// … unless it does not answer: then so long.
const STALE: Duration = Duration::from_secs(60 * 60);
/// After a failure it is left alone for a moment.
const PAUSE: Duration = Duration::from_secs(2);
/// Tokens may name keys that nobody has: how often such a name makes us ask, at most. A few at once, for a rotation.
const REFETCH_EVERY: Duration = Duration::from_secs(20);
const REFETCH_BURST: u32 = 3;

#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) metadata: CoreProviderMetadata,
    learned: Instant,
}

#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) url: IssuerUrl,
    known: RwLock<Option<Arc<Known>>>,
    /// Held while the issuer is asked; when that failed last.
    asking: Mutex<Option<Instant>>,
    refetches: DefaultDirectRateLimiter,
}

impl Issuer {
    pub(crate) fn new(url: IssuerUrl) -> Self {
        let burst = std::num::NonZeroU32::new(REFETCH_BURST).unwrap_or(std::num::NonZeroU32::MIN);
        let quota = Quota::with_period(REFETCH_EVERY).unwrap_or(Quota::per_minute(burst)).allow_burst(burst);
        Self { url, known: RwLock::default(), asking: Mutex::default(), refetches: RateLimiter::direct(quota) }
    }

    /// # Errors
    /// 503 that names the issuer, when nothing recent is known of it.
    pub(crate) async fn known(&self, client: &Client) -> Result<Arc<Known>, Problem> {
        if let Some(known) = self.younger_than(FRESH) {
            return Ok(known);
        }
        let mut failed = self.asking.lock().await;
        match self.younger_than(FRESH) {
            Some(known) => Ok(known),
            None => match self.ask(client, &mut failed).await {
                Ok(known) => Ok(known),
                Err(problem) => self.younger_than(STALE).ok_or(problem),
            },
        }
    }

    /// Asks again, because `old` lacks a key that a token names. `None` when it was asked too often.
    ///
    /// # Errors
    /// 503 that names the issuer: whether the key is one of its cannot be told.
    pub(crate) async fn newer(&self, client: &Client, old: &Arc<Known>) -> Result<Option<Arc<Known>>, Problem> {
        let mut failed = self.asking.lock().await;
        match self.younger_than(FRESH).filter(|known| !Arc::ptr_eq(known, old)) {
            Some(known) => Ok(Some(known)),
            None if self.refetches.check().is_err() => Ok(None),
            None => self.ask(client, &mut failed).await.map(Some),
        }
    }

    /// # Errors
    /// 503 that names the issuer and says what a request of ours got instead of an answer.
    pub(crate) fn down(&self, error: &(dyn std::error::Error + 'static)) -> Problem {
        tracing::warn!(error, issuer = self.url.as_str(), "the OIDC issuer failed");
        self.unavailable()
    }

    fn unavailable(&self) -> Problem {
        let detail =
            format!("the OIDC issuer {} does not answer as it should; local accounts still work", self.url.as_str());
        Problem::new(Kind::Unavailable, detail)
    }

    fn younger_than(&self, age: Duration) -> Option<Arc<Known>> {
        // A thread that panicked while it held the lock left a whole value behind: it only swaps one.
        let known = self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.as_ref().filter(|known| known.learned.elapsed() < age).cloned()
    }

    async fn ask(&self, client: &Client, failed: &mut Option<Instant>) -> Result<Arc<Known>, Problem> {
        if failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(self.unavailable());
        }
        match CoreProviderMetadata::discover_async(self.url.clone(), client).await {
            Ok(metadata) => {
                let known = Arc::new(Known { metadata, learned: Instant::now() });
                *failed = None;
                *self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(known.clone());
                Ok(known)
            }
            Err(error) => {
                *failed = Some(Instant::now());
                Err(self.down(&error))
            }
        }
    }
}
