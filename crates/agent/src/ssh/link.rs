//! `spawn`, as a session sees it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::link::{Answer, Ask, dial, receive, send};

/// An honest `spawn` answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// One session's connection. Dropping it ends what still runs there. Its packets are in order and it knows when the other side
/// is gone, which this type does not say and does not hide.
#[derive(Debug)]
pub(super) struct Link(UnixDatagram);

impl Link {
    /// # Errors
    /// Main does not run, or `spawn` in it.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        UnixDatagram::from_std(dial(folder)?.into()).map(Self)
    }

    pub(super) fn say(&self, ask: &Ask, beside: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(self.0.as_fd(), ask, beside)
    }

    pub(super) async fn hear(&self) -> io::Result<(Answer, Vec<OwnedFd>)> {
        let message = self.0.async_io(Interest::READABLE, || receive(self.0.as_fd())).await?;
        message.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Asks and waits for the answer.
    pub(super) async fn ask(&self, ask: &Ask, beside: &[BorrowedFd<'_>]) -> io::Result<(Answer, Vec<OwnedFd>)> {
        self.say(ask, beside)?;
        let answer = tokio::time::timeout(PATIENCE, self.hear()).await;
        answer.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "main does not answer"))?
    }

    /// The one descriptor that answers a question.
    pub(super) async fn opened(&self, ask: &Ask) -> io::Result<OwnedFd> {
        match self.ask(ask, &[]).await? {
            (Answer::Opened, mut fds) => fds.pop().ok_or_else(|| io::ErrorKind::InvalidData.into()),
            (Answer::Refused(words), _) => Err(io::Error::other(words)),
            (Answer::Started | Answer::Ended(_), _) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
