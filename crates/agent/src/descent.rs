//! A position in a tree of any depth, with few open descriptors and no path that could be too long for the kernel.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, Result};

use crate::beneath;

/// Descriptors that are kept open below the root.
const WINDOW: usize = 32;
/// Bytes of a path that the kernel takes at once.
const STEP: usize = 4000;

#[derive(Debug)]
pub(crate) struct Descent {
    root: OwnedFd,
    /// Names from the root to here, a `/` after each.
    path: Vec<u8>,
    depth: usize,
    /// The last few folders on the way; empty at the root alone.
    open: VecDeque<OwnedFd>,
}

impl Descent {
    pub(crate) fn at(root: OwnedFd) -> Self {
        Self { root, path: Vec::new(), depth: 0, open: VecDeque::new() }
    }

    pub(crate) fn current(&self) -> BorrowedFd<'_> {
        self.open.back().unwrap_or(&self.root).as_fd()
    }

    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Steps into the folder that was opened under `name` here.
    pub(crate) fn enter(&mut self, name: &CStr, folder: OwnedFd) {
        self.path.extend_from_slice(name.to_bytes());
        self.path.push(b'/');
        self.depth += 1;
        self.open.push_back(folder);
        if self.open.len() > WINDOW {
            self.open.pop_front();
        }
    }

    /// Steps out; the name of the folder that was left, `None` at the root.
    pub(crate) fn leave(&mut self) -> Result<Option<CString>> {
        if self.depth == 0 {
            return Ok(None);
        }
        self.path.pop();
        let start = self.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let name = CString::new(self.path.split_off(start)).map_err(|_nul| Errno::INVAL)?;
        self.open.pop_back();
        self.depth -= 1;
        if self.depth > 0 && self.open.is_empty() {
            let folder = self.reopen()?;
            self.open.push_back(folder);
        }
        Ok(Some(name))
    }

    /// Walks from the root to here again, in steps that the kernel takes.
    fn reopen(&self) -> Result<OwnedFd> {
        let mut folder: Option<OwnedFd> = None;
        let mut rest = self.path.as_slice();
        while !rest.is_empty() {
            let far = rest.get(..STEP).unwrap_or(rest);
            let end = far.iter().rposition(|byte| *byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            let step = CString::new(&rest[..end]).map_err(|_nul| Errno::INVAL)?;
            let from = folder.as_ref().unwrap_or(&self.root).as_fd();
            folder = Some(beneath::open(from, &step, beneath::FOLDER)?);
            rest = &rest[end + 1..];
        }
        folder.ok_or(Errno::NOENT)
    }
}
