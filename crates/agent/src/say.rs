//! The sidecar's log, beside the lines about the disk. The last of those must stay near the end, where berthd looks for it: who
//! speaks has it said again.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static SPOKEN: AtomicBool = AtomicBool::new(false);

pub(crate) fn say(words: &str) {
    let _closed = writeln!(io::stderr(), "{words}");
    SPOKEN.store(true, Ordering::Release);
}

/// Whether somebody spoke since this was asked last.
pub(crate) fn spoken() -> bool {
    SPOKEN.swap(false, Ordering::Acquire)
}
