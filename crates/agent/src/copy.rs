//! Copies a tree of files as it is. The source is a stranger's and only read; the target is a new folder that nobody else
//! has. Memory and descriptors do not grow with the number of files, and hardly with the depth.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Stat, Uid, chownat, fstat, linkat, mkdirat, readlinkat, statat, symlinkat, unlinkat,
    utimensat,
};
use rustix::io::Errno;

use crate::beneath::{self, PRIVATE_FOLDER};
use crate::descent::Descent;
use crate::entries::{Names, each};
use crate::note::{failure, shown};
use crate::{Failure, Notes, file};

pub(crate) struct Copy<'a> {
    source: Descent,
    target: Descent,
    /// Holds the first copy of each file that has several names, so that the next name is linked to it.
    links: BorrowedFd<'a>,
    notes: &'a mut Notes,
    mount: &'a str,
}

/// A folder whose files are copied and whose folders are not yet.
struct Level {
    stat: Stat,
    folders: Names,
}

/// An error and what was being done.
struct Doing(&'static str, std::io::Error);

impl From<Errno> for Doing {
    fn from(error: Errno) -> Self {
        Self("reading", error.into())
    }
}

fn doing<E: Into<std::io::Error>>(words: &'static str) -> impl Fn(E) -> Doing {
    move |error| Doing(words, error.into())
}

impl<'a> Copy<'a> {
    pub(crate) fn new(
        source: OwnedFd,
        target: OwnedFd,
        links: BorrowedFd<'a>,
        mount: &'a str,
        notes: &'a mut Notes,
    ) -> Self {
        Self { source: Descent::at(source), target: Descent::at(target), links, notes, mount }
    }

    /// Copies what `source` holds into `target`, and what belongs to `source` itself.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let mut levels = vec![self.level()?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.folders.pop() {
                if self.enter(&name)? {
                    levels.push(self.level()?);
                }
            } else {
                let lost = file::belongings(self.source.current(), self.target.current(), &level.stat);
                if let Some(lost) = lost.map_err(|error| self.failed(c"", Doing("writing", error)))? {
                    self.notes.add(self.source.path(), b"", &lost);
                }
                levels.pop();
                let left = self.source.leave().and_then(|_| self.target.leave());
                left.map_err(|error| self.failed(c"", error.into()))?;
            }
        }
        Ok(())
    }

    fn failed(&self, name: &CStr, Doing(words, error): Doing) -> Failure {
        match failure(words, format!("{}/{}", self.mount, shown(self.source.path(), name.to_bytes())), error) {
            Failure::Full { .. } => Failure::Full { path: self.mount.to_owned() },
            other => other,
        }
    }

    /// Copies everything but the folders here.
    fn level(&mut self) -> Result<Level, Failure> {
        let mut folders = Names::default();
        let (source, target) = (self.source.current(), self.target.current());
        let stat = fstat(source).map_err(|error| self.failed(c"", error.into()))?;
        let mut last = None;
        let done = each(source, |name| {
            let kind = match statat(source, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                    folders.push(name);
                    return Ok(true);
                }
                Ok(stat) => one(source, target, self.links, name, &stat),
                Err(error) => Err(error.into()),
            };
            match kind {
                Ok(None) => {}
                Ok(Some(why)) => self.notes.add(self.source.path(), name.to_bytes(), &why),
                Err(error) => {
                    last = Some(name.to_owned());
                    return Err(error);
                }
            }
            Ok(true)
        });
        match done {
            Ok(()) => Ok(Level { stat, folders }),
            Err(error) => Err(self.failed(last.as_deref().unwrap_or(c""), error)),
        }
    }

    /// Steps into a folder of the source and makes its copy; `false` when it is left out.
    fn enter(&mut self, name: &CStr) -> Result<bool, Failure> {
        let source = match beneath::open(self.source.current(), name, beneath::FOLDER) {
            Ok(source) => source,
            Err(error) => match unreadable(error) {
                Some(why) => {
                    self.notes.add(self.source.path(), name.to_bytes(), why);
                    return Ok(false);
                }
                None => return Err(self.failed(name, error.into())),
            },
        };
        let parent = self.target.current();
        let made = mkdirat(parent, name, PRIVATE_FOLDER).and_then(|()| beneath::open(parent, name, beneath::FOLDER));
        let target = made.map_err(|error| self.failed(name, doing("writing")(error)))?;
        self.source.enter(name, source);
        self.target.enter(name, target);
        Ok(true)
    }
}

/// Why an entry of the image is left out instead of failing everything.
fn unreadable(error: Errno) -> Option<&'static str> {
    match error {
        Errno::XDEV => Some("it is another file system"),
        Errno::ACCESS | Errno::PERM => Some("it may not be read"),
        _other => None,
    }
}

/// Copies one entry that is no folder; `Some` says why it, or part of it, was left out.
fn one(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    links: BorrowedFd<'_>,
    name: &CStr,
    stat: &Stat,
) -> Result<Option<String>, Doing> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::RegularFile && kind != FileType::Symlink {
        return Ok(Some("it is neither file, folder nor link".to_owned()));
    }
    let key = std::ffi::CString::new(format!("{:x}-{:x}", stat.st_dev, stat.st_ino)).unwrap_or_default();
    if stat.st_nlink > 1 {
        match linkat(links, &key, target, name, AtFlags::empty()) {
            Ok(()) => return Ok(None),
            // The disk allows an inode only so many names: the next one begins a copy of its own.
            Err(Errno::MLINK) => unlinkat(links, &key, AtFlags::empty()).map_err(doing("writing"))?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(doing("linking")(error)),
        }
    }
    let note = if kind == FileType::Symlink {
        symlink(source, target, name, stat)?;
        None
    } else {
        match regular(source, target, name)? {
            Regular::Copied { lost } => lost,
            Regular::LeftOut(why) => return Ok(Some(why.to_owned())),
        }
    };
    if stat.st_nlink > 1 {
        linkat(target, name, links, &key, AtFlags::empty()).map_err(doing("linking"))?;
    }
    Ok(note)
}

fn symlink(source: BorrowedFd<'_>, target: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Doing> {
    let leads = readlinkat(source, name, Vec::new())?;
    symlinkat(&leads, target, name).map_err(doing("writing"))?;
    let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(target, name, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW).map_err(doing("writing"))?;
    utimensat(target, name, &file::times(stat), AtFlags::SYMLINK_NOFOLLOW).map_err(doing("writing"))
}

enum Regular {
    Copied { lost: Option<String> },
    LeftOut(&'static str),
}

fn regular(source: BorrowedFd<'_>, target: BorrowedFd<'_>, name: &CStr) -> Result<Regular, Doing> {
    let from = match beneath::open(source, name, beneath::READ) {
        Ok(from) => File::from(from),
        Err(error) => return unreadable(error).map(Regular::LeftOut).ok_or_else(|| error.into()),
    };
    // What was opened counts, not what stood there before.
    let stat = fstat(&from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(Regular::LeftOut("it changed its kind"));
    }
    let to = File::from(beneath::open(target, name, beneath::NEW_FILE).map_err(doing("writing"))?);
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    file::content(&from, &to, size).map_err(doing("copying"))?;
    let lost = file::belongings(from.as_fd(), to.as_fd(), &stat).map_err(doing("writing"))?;
    Ok(Regular::Copied { lost })
}
