//! `berth-agent spawn`: the process inside main that starts sessions, so that they are main's in every respect: its files,
//! processes, limits, environment and user. Main's postStart hook starts it; it puts itself into the background, and takes
//! in whoever loses its parent, because many a main process would not.
//!
//! One thread and one loop. Every connection is one session; when it ends, what still runs in it is hung up.

mod account;
mod listener;
mod modes;
mod process;
mod sessions;

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitOptions, getpid, set_child_subreaper, setsid, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGPIPE};

pub(crate) use process::winsize;
use sessions::Sessions;

/// Starts `spawn` in the background and returns once it listens in `folder`.
///
/// # Errors
/// Why it does not.
pub fn spawn(folder: &Path) -> io::Result<()> {
    let ourselves = std::env::current_exe()?;
    let mut child = Command::new(ourselves);
    child.arg("spawn").arg("--foreground").arg("--link").arg(std::path::absolute(folder)?).current_dir("/");
    // Main's hook waits for its own output to be closed: none of it may stay open here.
    child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = child.spawn()?;
    let mut said = String::new();
    child.stdout.take().map(|mut output| output.read_to_string(&mut said)).transpose()?;
    match said.as_str() {
        "" => Ok(()),
        words => Err(io::Error::other(words.to_owned())),
    }
}

/// Serves until it is killed. `output` is closed as soon as it listens, or hears why it does not.
///
/// # Errors
/// When there is nothing to listen on.
pub fn serve_sessions(folder: &Path, mut output: impl Write) -> io::Result<()> {
    let prepared = prepare(folder);
    let (listener, mut sessions, mut woken) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            write!(output, "{}: {error}", folder.display())?;
            return Err(error);
        }
    };
    drop(output);
    silence()?;
    loop {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            sessions.ended(pid, status);
        }
        let ready: Vec<bool> = {
            let mut fds = vec![PollFd::new(&woken, PollFlags::IN), PollFd::new(&listener, PollFlags::IN)];
            fds.extend(sessions.sockets().map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN)));
            match poll(&mut fds, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            fds.iter().map(|fd| !fd.revents().is_empty()).collect()
        };
        let (ours, theirs) = ready.split_at(2);
        sessions.serve(theirs);
        if ours[0] {
            while woken.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
        }
        if ours[1]
            && let Some(socket) = listener::accept(listener.as_fd())
        {
            sessions.add(socket);
        }
    }
}

type Prepared = (std::os::fd::OwnedFd, Sessions, UnixStream);

fn prepare(folder: &Path) -> io::Result<Prepared> {
    match setsid() {
        Ok(_) | Err(Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    set_child_subreaper(Some(getpid()))?;
    let (woken, waker) = UnixStream::pair()?;
    woken.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGCHLD, waker)?;
    for ignored in [SIGHUP, SIGPIPE] {
        // A handler that does nothing, which unlike an ignored signal is not inherited by what is started.
        signal_hook::flag::register(ignored, Arc::new(AtomicBool::new(false)))?;
    }
    let sessions = Sessions::new(std::env::current_exe()?, folder.to_owned());
    Ok((listener::listen(folder)?, sessions, woken))
}

/// Nothing of the hook's may stay open: it would wait.
fn silence() -> io::Result<()> {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
