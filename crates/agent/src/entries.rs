//! What a folder holds.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::fs::RawDir;
use rustix::io::Result;

const BUFFER: usize = 32 * 1024;

/// Calls `visit` with each name of the folder until it says `false`.
pub(crate) fn each<E: From<rustix::io::Errno>>(
    folder: BorrowedFd<'_>,
    mut visit: impl FnMut(&CStr) -> std::result::Result<bool, E>,
) -> std::result::Result<(), E> {
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." && !visit(name)? {
            break;
        }
    }
    Ok(())
}

pub(crate) fn is_empty(folder: BorrowedFd<'_>) -> Result<bool> {
    let mut empty = true;
    each(folder, |_| {
        empty = false;
        Ok::<_, rustix::io::Errno>(false)
    })?;
    Ok(empty)
}

/// Names of folders that are still to be visited, in one piece of memory: a folder can hold a million.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<u8>);

impl Names {
    pub(crate) fn push(&mut self, name: &CStr) {
        self.0.extend_from_slice(name.to_bytes_with_nul());
    }

    pub(crate) fn pop(&mut self) -> Option<CString> {
        self.0.pop()?;
        let start = self.0.iter().rposition(|byte| *byte == 0).map_or(0, |nul| nul + 1);
        // A name from a directory has no NUL inside.
        CString::new(self.0.split_off(start)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_last_first() {
        let mut names = Names::default();
        for name in [c"a", c"b\nc", c"\xff"] {
            names.push(name);
        }
        let back: Vec<CString> = std::iter::from_fn(|| names.pop()).collect();
        assert_eq!(back, [c"\xff", c"b\nc", c"a"].map(CString::from));
    }
}
