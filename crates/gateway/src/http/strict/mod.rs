//! What stands under hyper's reading of HTTP/1: of every request, only one meaning may be possible, whoever reads it next.
//!
//! hyper and httparse are lenient where two readers can disagree about where a request ends, which is how requests are
//! smuggled: they take a bare LF for a line's end, drop a Content-Length beside Transfer-Encoding and the second of two equal
//! ones, and any coding whose last is `chunked`. So the bytes pass through a scanner of our own, which gives hyper a head only
//! when it is whole and beyond doubt, and follows the framing to where the next head begins. Of a head that is refused hyper
//! sees nothing; it is given [`REFUSED`] instead, so that what was asked before is still answered, in order, and the
//! connection then ends with an answer that says why.

mod chunks;
mod head;
mod scanner;
mod stream;

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use super::answer::Refusal;

pub(crate) use stream::Strict;

/// Of a head, with its request line.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// hyper's own default, too.
const MAX_HEADERS: usize = 100;

/// The method of the request that stands for a refused one. A client that sends it itself is refused.
pub(crate) const REFUSED: &str = "BERTH-REFUSED";

/// What the stream and the one that answers tell each other.
#[derive(Debug, Default)]
pub(crate) struct Control(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    refused: Option<Refusal>,
    /// Whether the upgrade that was asked for took place; the bytes that follow mean nothing before.
    upgraded: Option<bool>,
    waiting: Option<Waker>,
}

impl Control {
    /// Why the connection's last request is refused.
    pub(crate) fn refusal(&self) -> Refusal {
        self.refused().unwrap_or(Refusal::Malformed("its method is reserved"))
    }

    pub(crate) fn refused(&self) -> Option<Refusal> {
        self.inner().refused.clone()
    }

    /// Called with every answer to a request that asked for an upgrade.
    pub(crate) fn answered(&self, upgraded: bool) {
        let mut inner = self.inner();
        inner.upgraded = Some(upgraded);
        if let Some(waiting) = inner.waiting.take() {
            waiting.wake();
        }
    }

    fn refuse(&self, refusal: Refusal) {
        self.inner().refused = Some(refusal);
    }

    fn take_upgraded(&self, waker: &Waker) -> Option<bool> {
        let mut inner = self.inner();
        let upgraded = inner.upgraded.take();
        if upgraded.is_none() {
            inner.waiting = Some(waker.clone());
        }
        upgraded
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
