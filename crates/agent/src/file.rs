//! One file's content and what belongs to it: holes, owner, mode, times, extended attributes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{
    Gid, Mode, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fsetxattr,
    ftruncate, futimens, seek,
};
use rustix::io::Errno;

/// Both limits are the kernel's.
const MAX_XATTR: usize = 64 * 1024;

/// Copies the data and leaves holes where the source has them.
pub(crate) fn content(source: &File, target: &File, size: u64) -> io::Result<()> {
    let mut at = 0;
    while at < size {
        let data = match seek(source, SeekFrom::Data(at)) {
            Ok(data) => data,
            // Only a hole is left.
            Err(Errno::NXIO) => break,
            // A file system that knows of no holes.
            Err(Errno::INVAL) => at,
            Err(error) => return Err(error.into()),
        };
        let end = match seek(source, SeekFrom::Hole(data)) {
            Ok(end) => end.min(size),
            Err(Errno::INVAL) => size,
            Err(error) => return Err(error.into()),
        };
        seek(source, SeekFrom::Start(data))?;
        seek(target, SeekFrom::Start(data))?;
        let copied = io::copy(&mut Read::take(source, end.saturating_sub(data)), &mut &*target)?;
        if copied == 0 {
            break;
        }
        at = data + copied;
    }
    Ok(ftruncate(target, size)?)
}

/// Owner, mode, times, in the order in which none undoes another: a change of owner takes set-id bits and capabilities.
pub(crate) fn belongings(source: BorrowedFd<'_>, target: BorrowedFd<'_>, stat: &Stat) -> io::Result<Option<String>> {
    fchown(target, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    let lost = xattrs(source, target);
    fchmod(target, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    futimens(target, &times(stat))?;
    Ok(lost)
}

pub(crate) fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Copies `user.*` and file capabilities; says which the disk did not take. Others are the kernel's or the node's business.
fn xattrs(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Option<String> {
    let mut names = Vec::with_capacity(MAX_XATTR);
    let Ok(1..) = flistxattr(source, spare_capacity(&mut names)) else { return None };
    let mut lost = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        if !name.starts_with(b"user.") && name != b"security.capability" {
            continue;
        }
        let mut value = Vec::with_capacity(MAX_XATTR);
        let read = fgetxattr(source, name, spare_capacity(&mut value));
        if read.and_then(|_| fsetxattr(target.as_fd(), name, &value, XattrFlags::empty())).is_err() {
            lost.push(name.escape_ascii().to_string());
        }
    }
    (!lost.is_empty()).then(|| format!("its attributes {} were not kept", lost.join(", ")))
}
