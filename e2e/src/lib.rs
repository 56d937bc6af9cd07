//! What the end-to-end tests share: a berthd of their own on the cluster that `KUBECONFIG` names, users, and `kubectl`.
//! Everything here panics with a sentence: it is test code.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "test code")]

pub mod berthd;
pub mod image;
pub mod kubectl;
pub mod public;

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Polls until `check` gives something; says what it waited for when it does not.
pub async fn until<T, Fut: Future<Output = Option<T>>>(what: &str, seconds: u64, check: impl Fn() -> Fut) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "gave up waiting for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
