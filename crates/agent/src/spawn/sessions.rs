//! The sessions of this container, each with its connection.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, WaitStatus, kill_process_group};

use super::{listener, process};
use crate::link::{Answer, Ask, Bytes, Ended, Start, receive, send};

/// At once; far more than a person opens, and few enough for the container's own limits.
const MAX: usize = 256;

pub(super) struct Sessions {
    ourselves: PathBuf,
    folder: PathBuf,
    sessions: Vec<Session>,
    /// Names the sockets of key agents.
    count: u64,
}

struct Session {
    socket: OwnedFd,
    /// Its process, while it runs.
    pid: Option<Pid>,
    /// The kernel hangs up a terminal that the agent lets go. A shell that hears it twice would forget its own jobs.
    terminal: bool,
    /// Sockets in the file system that end with it.
    paths: Vec<PathBuf>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.filter(|_| !self.terminal) {
            // What is stopped must be woken to hear it.
            for signal in [Signal::HUP, Signal::CONT] {
                let _gone = kill_process_group(pid, signal);
            }
        }
        for path in &self.paths {
            let _gone = std::fs::remove_file(path);
            let _not_ours = path.parent().filter(|folder| is_agents(folder)).map(std::fs::remove_dir);
        }
    }
}

fn is_agents(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.as_bytes().starts_with(AGENT.as_bytes()))
}

/// In a status as the kernel gives it.
const CORE_DUMPED: i32 = 0x80;

const AGENT: &str = "agent-";

impl Sessions {
    pub(super) fn new(ourselves: PathBuf, folder: PathBuf) -> Self {
        Self { ourselves, folder, sessions: Vec::new(), count: 0 }
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sessions.iter().map(|session| session.socket.as_fd())
    }

    pub(super) fn add(&mut self, socket: OwnedFd) {
        if self.sessions.len() < MAX {
            self.sessions.push(Session { socket, pid: None, terminal: false, paths: Vec::new() });
        } else {
            let _gone = send(socket.as_fd(), &Answer::Refused(format!("{MAX} sessions are open already")), &[]);
        }
    }

    /// Hears the sessions that have something to say; in the order of [`Self::sockets`].
    pub(super) fn serve(&mut self, ready: &[bool]) {
        let mut ready = ready.iter();
        let sessions = std::mem::take(&mut self.sessions);
        self.sessions = sessions
            .into_iter()
            .filter_map(|session| if *ready.next()? { self.hear(session) } else { Some(session) })
            .collect();
    }

    /// A process ended, perhaps one that only lost its parent.
    pub(super) fn ended(&mut self, pid: Pid, status: WaitStatus) {
        let Some(session) = self.sessions.iter_mut().find(|session| session.pid == Some(pid)) else { return };
        let ended = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ended::Code(code),
            (None, Some(number)) => Ended::Signal { number, core: status.as_raw() & CORE_DUMPED != 0 },
            (None, None) => return,
        };
        session.pid = None;
        let _gone = send(session.socket.as_fd(), &Answer::Ended(ended), &[]);
    }

    /// One message; `None` ends the session.
    fn hear(&mut self, mut session: Session) -> Option<Session> {
        let (ask, fds) = match receive::<Ask>(session.socket.as_fd()) {
            Ok(Some(message)) => message,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(session),
            Ok(None) | Err(_) => return None,
        };
        let (answer, beside) = match ask {
            Ask::Signal(number) => {
                if let (Some(pid), Some(signal)) = (session.pid, Signal::from_named_raw(number)) {
                    let _gone = kill_process_group(pid, signal);
                }
                return Some(session);
            }
            Ask::Start(start) => self.start(&mut session, &start, fds),
            Ask::Connect(path) => answered(&path, listener::to(as_path(&path))),
            Ask::Listen(path) => {
                let listener = listener::at(as_path(&path));
                session.paths.extend(listener.is_ok().then(|| as_path(&path).to_owned()));
                answered(&path, listener)
            }
        };
        let beside: Vec<BorrowedFd<'_>> = beside.iter().map(AsFd::as_fd).collect();
        send(session.socket.as_fd(), &answer, &beside).ok().map(|()| session)
    }

    fn start(&mut self, session: &mut Session, start: &Start, streams: Vec<OwnedFd>) -> (Answer, Vec<OwnedFd>) {
        if session.pid.is_some() {
            return (Answer::Refused("this session has its process already".to_owned()), Vec::new());
        }
        let agent = match start.agent.then(|| self.agent()).transpose() {
            Ok(agent) => agent,
            Err(error) => return (Answer::Refused(format!("no socket for the key agent: {error}")), Vec::new()),
        };
        session.paths.extend(agent.as_ref().map(|(path, _)| path.clone()));
        let path = agent.as_ref().map(|(path, _)| path.as_path());
        match process::start(start, streams, &self.ourselves, path) {
            Ok(started) => {
                (session.pid, session.terminal) = (Some(started.pid), started.master.is_some());
                let listener = agent.map(|(_, listener)| listener);
                (Answer::Started, started.master.into_iter().chain(listener).collect())
            }
            Err(words) => (Answer::Refused(words), Vec::new()),
        }
    }

    /// A socket for the client's key agent, in a folder that is this user's alone. Not in /tmp: an image need not have one.
    fn agent(&mut self) -> io::Result<(PathBuf, OwnedFd)> {
        self.count += 1;
        let folder = self.folder.join(format!("{AGENT}{}-{}", std::process::id(), self.count));
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _removed => {}
        }
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&folder)?;
        let path = folder.join("socket");
        let listener = listener::at(&path)?;
        Ok((path, listener))
    }
}

fn as_path(path: &Bytes) -> &Path {
    Path::new(OsStr::from_bytes(&path.0))
}

fn answered(path: &Bytes, made: io::Result<OwnedFd>) -> (Answer, Vec<OwnedFd>) {
    match made {
        Ok(fd) => (Answer::Opened, vec![fd]),
        Err(error) => (Answer::Refused(format!("{}: {error}", as_path(path).display())), Vec::new()),
    }
}
