//! The sidecar's long-lived process: process 1 of its container. Says how full the disk is, one line of JSON whenever that
//! changed, and ends at once when it is asked to. Beside it, in a thread of its own, SSH.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use berth_core::disk::DiskUse;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::statvfs;
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};

use crate::say::{say, spoken};
use crate::ssh::{Settings, serve_ssh};

const LOOK: Duration = Duration::from_secs(15);

/// # Errors
/// When signals cannot be received.
pub fn serve(disk: &Path, ssh: Option<Settings>, output: &mut impl Write) -> io::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let (mut woken, waker) = UnixStream::pair()?;
    woken.set_nonblocking(true)?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    for signal in [SIGTERM, SIGINT, SIGCHLD] {
        signal_hook::low_level::pipe::register(signal, waker.try_clone()?)?;
    }
    if let Some(settings) = ssh {
        // Without SSH a container still runs, so this ends nothing; and the log says why.
        std::thread::Builder::new().name("ssh".to_owned()).spawn(move || {
            if let Err(error) = serve_ssh(&settings) {
                say(&format!("SSH is not served: {error}"));
            }
        })?;
    }
    let (mut said, mut next) = (None, Instant::now());
    loop {
        reap();
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + LOOK;
            let now = line(disk);
            if spoken() || now != said {
                // A log that cannot be written to must not end the sidecar.
                let written = now.as_ref().map(|now| writeln!(output, "{now}").and_then(|()| output.flush()));
                said = now.filter(|_| matches!(written, Some(Ok(()))));
            }
        }
        let left = Timespec::try_from(next.saturating_duration_since(Instant::now())).ok();
        match poll(&mut [PollFd::new(&woken, PollFlags::IN)], left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        while woken.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    }
}

/// The disk's numbers as they are now, `None` when they cannot be read.
pub fn line(disk: &Path) -> Option<String> {
    let stat = statvfs(disk).ok()?;
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(stat.f_frsize)).ok();
    let disk_used_bytes = bytes(stat.f_blocks.saturating_sub(stat.f_bfree))?;
    serde_json::to_string(&DiskUse { disk_used_bytes, disk_total_bytes: bytes(stat.f_blocks)? }).ok()
}

/// Whoever loses its parent in this container becomes a child of process 1.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}
