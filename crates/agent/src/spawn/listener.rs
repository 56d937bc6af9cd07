//! The sockets that `spawn` makes: its own, and those in main's file system that a session asks for.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::fs::{Mode, chmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen as start_listening,
    socket_with,
};
use rustix::process::getuid;

use crate::link::SOCKET;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

pub(super) fn listen(folder: &Path) -> io::Result<OwnedFd> {
    let path = folder.join(SOCKET);
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    // Of an earlier life of this container.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _removed => {}
    }
    bind(&socket, &SocketAddrUnix::new(&path)?)?;
    // The agent has no capability and is another user wherever the image names one; who is let in is decided below.
    chmod(&path, Mode::from_raw_mode(0o666))?;
    start_listening(&socket, BACKLOG)?;
    Ok(socket)
}

/// The next connection, of the agent or of this process's own user: other users of the container gain nothing here.
pub(super) fn accept(listener: BorrowedFd<'_>) -> Option<OwnedFd> {
    let socket = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok()?;
    let peer = getsockopt(&socket, PeerCredentials).ok()?.uid();
    (peer == 0 || peer == getuid().as_raw()).then_some(socket)
}

/// For a forwarded connection. The path is as the client gave it, absolute.
pub(super) fn to(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// For forwarding back, and for a key agent: for this user alone.
pub(super) fn at(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    let narrowed = chmod(path, Mode::RUSR | Mode::WUSR).and_then(|()| start_listening(&socket, BACKLOG));
    if let Err(error) = narrowed {
        let _left = std::fs::remove_file(path);
        return Err(error.into());
    }
    Ok(socket)
}
