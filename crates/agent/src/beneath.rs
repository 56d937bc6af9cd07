//! Opening files without leaving a root.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, mkdirat, openat2, unlinkat};
use rustix::io::{Errno, Result};

pub(crate) const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW);
/// A FIFO that takes a file's place must not block us.
pub(crate) const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
pub(crate) const NEW_FILE: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW);

pub(crate) const PRIVATE_FILE: Mode = Mode::RUSR.union(Mode::WUSR);
pub(crate) const PRIVATE_FOLDER: Mode = Mode::RWXU;

/// Opens what is at `path` under `folder`, through no link at all.
pub(crate) fn open(folder: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let mode = if flags.contains(OFlags::CREATE) { PRIVATE_FILE } else { Mode::empty() };
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    again(|| openat2(folder, path, flags | OFlags::CLOEXEC, mode, resolve))
}

/// Opens a folder as a process inside `root` would find it: links are followed, `/` and `..` end at `root`.
pub(crate) fn open_in_root(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    again(|| openat2(root, path, flags, Mode::empty(), resolve))
}

/// The kernel gives up a guarded look-up when anything on the machine is renamed meanwhile, and says so.
fn again(open: impl Fn() -> Result<OwnedFd>) -> Result<OwnedFd> {
    for _ in 0..64 {
        match open() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            done => return done,
        }
    }
    open()
}

/// A folder of our own: made when it is missing, and in place of anything that is none.
pub(crate) fn own_folder(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    match mkdirat(folder, name, PRIVATE_FOLDER) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    match open(folder, name, FOLDER) {
        Err(Errno::LOOP | Errno::NOTDIR) => {
            unlinkat(folder, name, AtFlags::empty())?;
            mkdirat(folder, name, PRIVATE_FOLDER)?;
            open(folder, name, FOLDER)
        }
        done => done,
    }
}
