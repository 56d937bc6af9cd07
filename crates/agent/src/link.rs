//! What `serve`, in the agent's container, and `spawn`, in main, say to each other: one connection a session, over a socket in
//! a folder that both see. A message is one packet of JSON; descriptors travel beside it.
//!
//! Neither believes the other: root inside main owns `spawn`, and can say anything. It is asked for one session and can spoil
//! that one alone.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, sendmsg, socket_with,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The socket's name in the shared folder.
pub(crate) const SOCKET: &str = "spawn";
/// Bytes of one message. A command is at most 128 KiB, as the kernel has it.
const MAX: usize = 200 * 1024;
/// Descriptors beside one message: standard input, output and error.
const MAX_FDS: usize = 3;

/// What `spawn` is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// A process. Without a terminal, its three standard streams come beside this.
    Start(Box<Start>),
    /// For the process's group.
    Signal(i32),
    /// A connection to a socket in main's file system.
    Connect(Bytes),
    /// A listener there, for as long as this connection lives.
    Listen(Bytes),
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) run: Run,
    pub(crate) terminal: Option<Terminal>,
    /// What the client asks to be set.
    pub(crate) env: Vec<(String, Bytes)>,
    /// `CLIENT-ADDRESS CLIENT-PORT SERVER-ADDRESS SERVER-PORT`.
    pub(crate) connection: String,
    /// Whether a socket for the client's key agent is to be made; its listener comes back after the terminal.
    pub(crate) agent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Run {
    Shell,
    Command(Bytes),
    Sftp,
}

/// A terminal as the client has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terminal {
    pub(crate) term: String,
    pub(crate) size: Size,
    /// RFC 4254's opcodes and their arguments.
    pub(crate) modes: Vec<(u8, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) columns: u16,
    pub(crate) rows: u16,
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// What `spawn` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The terminal comes beside this, if one was asked for, and then the key agent's listener.
    Started,
    Ended(Ended),
    /// The connection or the listener comes beside this.
    Opened,
    /// In words for the person who asked.
    Refused(String),
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    Code(i32),
    Signal { number: i32, core: bool },
}

/// Any bytes, in a JSON string that stays readable: each is the character of its number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.iter().map(|byte| char::from(*byte)).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = text.chars().map(|one| u8::try_from(u32::from(one)));
        bytes.collect::<Result<_, _>>().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A connection to `spawn`, which does not block.
///
/// # Errors
/// Nobody listens there.
pub(crate) fn dial(folder: &Path) -> io::Result<OwnedFd> {
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    connect(&socket, &SocketAddrUnix::new(folder.join(SOCKET))?)?;
    Ok(socket)
}

/// Sends one message whole, or says why not.
pub(crate) fn send<T: Serialize>(socket: BorrowedFd<'_>, message: &T, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is longer than a command may be"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(&bytes)], &mut beside, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Receives one message; `None` when the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(socket: BorrowedFd<'_>) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut bytes)];
    let read = recvmsg(socket, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(given) = message {
            fds.extend(given);
        }
    }
    if read.bytes == 0 {
        return Ok(None);
    }
    if read.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    Ok(Some((serde_json::from_slice(&bytes[..read.bytes])?, fds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn every_byte_travels_and_so_do_descriptors() {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let ask = Ask::Connect(Bytes((0..=255).collect()));
        send(one.as_fd(), &ask, &[one.as_fd(), other.as_fd()]).unwrap();
        let (got, fds) = receive::<Ask>(other.as_fd()).unwrap().unwrap();
        assert_eq!((got, fds.len()), (ask, 2));
        let long = Ask::Connect(Bytes(vec![b'a'; MAX]));
        assert!(send(one.as_fd(), &long, &[]).is_err());
        drop((one, fds));
        assert!(receive::<Ask>(other.as_fd()).unwrap().is_none());
    }
}
