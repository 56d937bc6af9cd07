//! Programs from Debian's packages that Berth is measured against. Each runs as a process of its own, from a folder of its own, on
//! the core on which the gateway runs in its turn. None is the service that the package would start.

pub(crate) mod haproxy;
pub(crate) mod nginx;
pub(crate) mod sshd;

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// The core of whatever is measured.
pub(crate) const SERVER: &str = "1";
/// The core of those who load it, and of what stands behind it.
pub(crate) const LOAD: &str = "0";

const DEADLINE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// It ends with its owner, and leaves nothing behind.
pub(crate) struct Peer {
    folder: TempDir,
    process: Child,
}

impl Peer {
    fn start(core: &str, folder: TempDir, command: &[&str]) -> anyhow::Result<Self> {
        let log = std::fs::File::create(folder.path().join("log"))?;
        let process = pinned(core, command)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Self { folder, process })
    }

    /// Waits until it listens.
    async fn listens(self, address: (Ipv4Addr, u16)) -> anyhow::Result<Self> {
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect(address).await.is_err() {
            anyhow::ensure!(Instant::now() < deadline, "a peer does not listen: {}", self.log());
            sleep(POLL).await;
        }
        Ok(self)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Asked, so that it ends its own processes too.
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        if pid.is_none_or(|pid| kill_process(pid, Signal::TERM).is_err()) || self.process.wait().is_err() {
            eprintln!("bench: a peer did not end: {}", self.log());
        }
    }
}

/// A program on one core, which ends when this one does.
pub(crate) fn pinned(core: &str, command: &[&str]) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["--cpu-list", core, "setpriv", "--pdeathsig=TERM"]).args(command);
    pinned
}

/// Puts the calling thread on the core of those who load.
pub(crate) fn run_as_load() -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(LOAD.parse()?);
    Ok(sched_setaffinity(None, &cores)?)
}

/// A port that nobody has on any address.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}
