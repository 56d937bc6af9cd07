//! A file's attributes, to the client and from it.

use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, fchown};

use chrono::DateTime;
use russh_sftp::protocol::FileAttributes;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, futimens, utimensat};

use super::Answer;
use super::open::Change;

pub(super) fn attributes(meta: &Metadata) -> FileAttributes {
    // The protocol's seconds have 32 bits.
    let seconds = |time: i64| u32::try_from(time).unwrap_or(0);
    FileAttributes {
        size: Some(meta.len()),
        uid: Some(meta.uid()),
        gid: Some(meta.gid()),
        permissions: Some(meta.mode()),
        atime: Some(seconds(meta.atime())),
        mtime: Some(seconds(meta.mtime())),
        ..FileAttributes::empty()
    }
}

/// A line as `ls -l` has it: some clients show it to people.
pub(super) fn longname(name: &str, attrs: &FileAttributes) -> String {
    let mode = attrs.permissions.unwrap_or(0);
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o010_000 => 'p',
        0o140_000 => 's',
        _file => '-',
    };
    let time = DateTime::from_timestamp(attrs.mtime.unwrap_or(0).into(), 0).unwrap_or_default();
    let (uid, gid) = (attrs.uid.unwrap_or(0), attrs.gid.unwrap_or(0));
    let (size, time) = (attrs.size.unwrap_or(0), time.format("%b %e %Y"));
    format!("{kind}{} 1 {uid:<8} {gid:<8} {size:>8} {time} {name}", attrs.permissions())
}

/// Each one that is given, in an order in which none undoes another: a change of owner clears set-id bits.
pub(super) fn apply(change: &Change<'_>, attrs: &FileAttributes) -> Answer<()> {
    if let Some(size) = attrs.size {
        match change {
            Change::File(file) => file.set_len(size)?,
            Change::Path { to_cut, .. } => to_cut.as_ref().map(|file| file.set_len(size)).transpose().map(drop)?,
        }
    }
    if attrs.uid.is_some() || attrs.gid.is_some() {
        match change {
            Change::File(file) => fchown(file, attrs.uid, attrs.gid)?,
            Change::Path { path, .. } => chown(path, attrs.uid, attrs.gid)?,
        }
    }
    if let Some(mode) = attrs.permissions {
        let mode = std::fs::Permissions::from_mode(mode & 0o7777);
        match change {
            Change::File(file) => file.set_permissions(mode)?,
            Change::Path { path, .. } => std::fs::set_permissions(path, mode)?,
        }
    }
    if let (Some(atime), Some(mtime)) = (attrs.atime, attrs.mtime) {
        let time = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
        let times = Timestamps { last_access: time(atime), last_modification: time(mtime) };
        match change {
            Change::File(file) => futimens(file, &times)?,
            Change::Path { path, .. } => utimensat(CWD, path, &times, AtFlags::empty())?,
        }
    }
    Ok(())
}
