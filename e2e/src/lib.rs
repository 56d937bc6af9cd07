//! What the end-to-end tests share: a berthd of their own on the cluster that `KUBECONFIG` names, users, and `kubectl`.
//! Everything here panics with a sentence: it is test code.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "test code")]

pub mod api_proxy;
pub mod berthd;
pub mod dns;
pub mod gateway;
pub mod images;
pub mod kubectl;
pub mod pebble;
pub mod private_registry;
pub mod probe;
pub mod public;
pub mod ssh;
pub mod streams;
pub mod tcp_proxy;
pub mod web;

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Ring is the one crypto provider; another test of this process may have been first.
pub(crate) fn install_crypto() {
    let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
}

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
