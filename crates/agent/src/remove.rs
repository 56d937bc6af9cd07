//! Removes a tree, however deep, through no link.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::{Errno, Result};

use crate::beneath;
use crate::descent::Descent;
use crate::entries::{Names, each};

/// What is not there is removed already.
pub(crate) fn tree(folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        Err(Errno::NOENT) => return Ok(()),
        done => return done,
    }
    let mut here = Descent::at(beneath::open(folder, name, beneath::FOLDER)?);
    let mut stack = vec![unlink_files(here.current())?];
    while let Some(folders) = stack.last_mut() {
        if let Some(name) = folders.pop() {
            let opened = beneath::open(here.current(), &name, beneath::FOLDER)?;
            let inside = unlink_files(opened.as_fd())?;
            here.enter(&name, opened);
            stack.push(inside);
        } else {
            stack.pop();
            if let Some(name) = here.leave()? {
                unlinkat(here.current(), &name, AtFlags::REMOVEDIR)?;
            }
        }
    }
    unlinkat(folder, name, AtFlags::REMOVEDIR)
}

/// Unlinks everything but folders, whose names are given back.
fn unlink_files(folder: BorrowedFd<'_>) -> Result<Names> {
    let mut folders = Names::default();
    each(folder, |name| {
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::ISDIR) => folders.push(name),
            Err(error) => return Err(error),
        }
        Ok(true)
    })?;
    Ok(folders)
}
