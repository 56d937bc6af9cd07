//! Files and folders that a client holds open.

use std::collections::HashMap;
use std::fs::{File, ReadDir};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use russh_sftp::protocol::{OpenFlags, StatusCode};
use rustix::fs::OFlags;

use super::{Answer, shown};

/// At once; below the usual limit of descriptors.
const MAX: usize = 512;

pub(super) enum Open {
    File(File),
    /// `dots` while the folder itself and its parent are still to be named.
    Folder {
        path: PathBuf,
        dots: bool,
        entries: ReadDir,
    },
}

#[derive(Default)]
pub(super) struct Handles {
    open: HashMap<String, Open>,
    count: u64,
}

impl Handles {
    pub(super) fn add(&mut self, open: Open) -> Answer<String> {
        if self.open.len() >= MAX {
            return Err(super::Failed(StatusCode::Failure.with_message("too many files are open")));
        }
        self.count += 1;
        let handle = self.count.to_string();
        self.open.insert(handle.clone(), open);
        Ok(handle)
    }

    pub(super) fn remove(&mut self, handle: &str) -> Answer<()> {
        self.open.remove(handle).map(drop).ok_or_else(|| StatusCode::Failure.into())
    }

    pub(super) fn file(&self, handle: &str) -> Answer<&File> {
        match self.open.get(handle) {
            Some(Open::File(file)) => Ok(file),
            Some(Open::Folder { .. }) | None => Err(StatusCode::Failure.into()),
        }
    }

    /// The next names of a folder and the paths that they have; none at its end.
    pub(super) fn names(&mut self, handle: &str, count: usize) -> Answer<Vec<(String, PathBuf)>> {
        let Some(Open::Folder { path, dots, entries }) = self.open.get_mut(handle) else {
            return Err(StatusCode::Failure.into());
        };
        if std::mem::take(dots) {
            return Ok([".", ".."].map(|name| (name.to_owned(), path.join(name))).into());
        }
        let mut names = Vec::new();
        for entry in entries.take(count) {
            let entry = entry?;
            names.push((shown(Path::new(&entry.file_name())), entry.path()));
        }
        Ok(names)
    }
}

pub(super) fn file(path: &Path, flags: OpenFlags, mode: Option<u32>) -> Answer<File> {
    let mut options: std::fs::OpenOptions = flags.into();
    // A FIFO would hold up everything until somebody opens its other end.
    options.mode(mode.map_or(0o666, |mode| mode & 0o7777)).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    Ok(options.open(path)?)
}

/// What attributes are changed of.
pub(super) enum Change<'a> {
    File(&'a File),
    Path { path: PathBuf, to_cut: Option<File> },
}

pub(super) fn to_change(path: &Path, cut: bool) -> Answer<Change<'static>> {
    let to_cut = cut.then(|| File::options().write(true).open(path)).transpose()?;
    Ok(Change::Path { path: path.to_owned(), to_cut })
}
