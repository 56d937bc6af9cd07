//! One direction of a connection, moved by the kernel: bytes go from socket to socket through a pipe and never come here.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What one call moves at most, and what waits for a reader that is slow.
const PIPE: usize = 256 * 1024;
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// Until `from` ends, which `to` is then told, or either breaks. `moved` counts what `to` took.
pub(super) async fn pass(from: &TcpStream, to: &TcpStream, moved: &AtomicU64) -> io::Result<()> {
    // A connection that says nothing has no pipe.
    from.readable().await?;
    let (outlet, inlet) = pipe()?;
    loop {
        // Whatever is in the pipe has left it by then: that nothing can be moved means that nothing has come.
        let mut waiting =
            from.async_io(Interest::READABLE, || Ok(splice(from, None, &inlet, None, PIPE, FLAGS)?)).await?;
        if waiting == 0 {
            return SockRef::from(to).shutdown(Shutdown::Write);
        }
        while waiting > 0 {
            let gone = to.async_io(Interest::WRITABLE, || Ok(splice(&outlet, None, to, None, waiting, FLAGS)?)).await?;
            waiting -= gone;
            moved.fetch_add(gone as u64, Ordering::Relaxed);
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (outlet, inlet) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // Beyond what this user may have of large pipes, a small one does.
    let _size = fcntl_setpipe_size(&inlet, PIPE);
    Ok((outlet, inlet))
}
