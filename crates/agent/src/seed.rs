//! Fills the folders of a disk from the image, each once and for good.
//!
//! A folder of the disk is one of three: marked (it was filled before: nothing is done), in use without a mark (a disk older
//! than the marks: it is marked and left alone), or new. A new one is copied beside its place, flushed, renamed into place
//! and marked. A kill before the rename leaves only what the next run removes; one between rename and mark leaves a folder
//! that is in use, or an empty one that is copied again. Rename never replaces a folder that holds anything.

use std::ffi::CString;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use berth_core::mount::sub_path;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, fchmod, flock, mkdirat, open, renameat, statat, syncfs};
use rustix::io::Errno;
use serde_json::json;

use crate::copy::Copy;
use crate::note::failure;
use crate::{Failure, Notes, beneath, entries, remove};

/// No folder of a mount path begins with a dot.
const OWN: &std::ffi::CStr = c".berth";
const MARKS: &std::ffi::CStr = c"seeded";
const NEW: &std::ffi::CStr = c"new";

/// What was done for one mount path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seeded {
    Before,
    InUse,
    /// Copied now; the image may have had nothing there.
    Now(Notes),
}

enum State {
    Marked,
    InUse,
    New,
}

/// Prepares the disk for `paths`, in their order.
///
/// # Errors
/// [`Failure`] in words for the container's owner; everything that was finished stays, the rest is done again next time.
pub fn seed<S: AsRef<str>>(image: &Path, disk: &Path, paths: &[S]) -> Result<Vec<Seeded>, Failure> {
    let folder = |path: &Path| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        open(path, flags, Mode::empty()).map_err(|error| failure("opening", path.display().to_string(), error))
    };
    let disk = Disk { root: folder(disk)? };
    let own = beneath::own_folder(disk.root.as_fd(), OWN).map_err(ours)?;
    // The runtime can run us twice at once when it loses track of a hook.
    flock(&own, FlockOperation::LockExclusive).map_err(ours)?;
    let marks = beneath::own_folder(own.as_fd(), MARKS).map_err(ours)?;
    remove::tree(own.as_fd(), NEW).map_err(ours)?;

    let mut states = Vec::with_capacity(paths.len());
    for path in paths {
        states.push(disk.state(marks.as_fd(), path.as_ref())?);
    }
    if states.iter().all(|state| matches!(state, State::Marked)) {
        return Ok(states.iter().map(|_| Seeded::Before).collect());
    }
    let image = folder(image)?;
    let done = disk.fill(own.as_fd(), marks.as_fd(), image.as_fd(), paths, &states);
    let tidied = remove::tree(own.as_fd(), NEW).map_err(ours);
    done.and_then(|done| tidied.map(|()| done))
}

struct Disk {
    root: OwnedFd,
}

impl Disk {
    fn state(&self, marks: BorrowedFd<'_>, path: &str) -> Result<State, Failure> {
        let name = name(path);
        let marked = match statat(marks, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => true,
            Err(Errno::NOENT) => false,
            Err(error) => return Err(ours(error)),
        };
        match beneath::open(self.root.as_fd(), &name, beneath::FOLDER) {
            Err(Errno::NOENT) => Ok(State::New),
            Err(Errno::LOOP | Errno::NOTDIR | Errno::XDEV) => Err(Failure::NotAFolder { path: path.to_owned() }),
            Err(error) => Err(failure("opening", path.to_owned(), error)),
            Ok(_) if marked => Ok(State::Marked),
            Ok(folder) => match entries::is_empty(folder.as_fd()) {
                // The kubelet makes a folder that is missing.
                Ok(true) => Ok(State::New),
                Ok(false) => Ok(State::InUse),
                Err(error) => Err(failure("reading", path.to_owned(), error)),
            },
        }
    }

    fn fill<S: AsRef<str>>(
        &self,
        own: BorrowedFd<'_>,
        marks: BorrowedFd<'_>,
        image: BorrowedFd<'_>,
        paths: &[S],
        states: &[State],
    ) -> Result<Vec<Seeded>, Failure> {
        let new = beneath::own_folder(own, NEW).map_err(ours)?;
        let mut done = Vec::with_capacity(paths.len());
        for (path, state) in paths.iter().map(AsRef::as_ref).zip(states) {
            done.push(match state {
                State::Marked => Seeded::Before,
                State::InUse => Seeded::InUse,
                State::New => Seeded::Now(copy(new.as_fd(), image, path)?),
            });
        }
        // Names must not become durable before what they name.
        let flush =
            || syncfs(&self.root).map_err(|error| full_or(failure("writing", "the disk".to_owned(), error), paths));
        flush()?;
        for (path, seeded) in paths.iter().map(AsRef::as_ref).zip(&mut done) {
            if let Seeded::Now(_) = seeded {
                match renameat(&new, name(path), &self.root, name(path)) {
                    Ok(()) => {}
                    Err(Errno::NOTEMPTY | Errno::EXIST) => *seeded = Seeded::InUse,
                    Err(error) => return Err(failure("placing", path.to_owned(), error)),
                }
            }
            mark(marks, path, seeded)?;
        }
        flush()?;
        Ok(done)
    }
}

/// Copies one path's files beside their place.
fn copy(new: BorrowedFd<'_>, image: BorrowedFd<'_>, path: &str) -> Result<Notes, Failure> {
    let mut notes = Notes::default();
    let made = |error: Errno| failure("making", path.to_owned(), error);
    mkdirat(new, name(path), beneath::PRIVATE_FOLDER).map_err(made)?;
    let target = beneath::open(new, &name(path), beneath::FOLDER).map_err(made)?;
    let inside = CString::new(path).map_err(|_nul| made(Errno::INVAL))?;
    match beneath::open_in_root(image, &inside) {
        Ok(source) => {
            let links = CString::new(format!("{}.links", sub_path(path))).unwrap_or_default();
            let links = beneath::own_folder(new, &links).map_err(made)?;
            Copy::new(source, target, links.as_fd(), path, &mut notes).run()?;
        }
        // The image has no folder there that is its own.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::ACCESS | Errno::NAMETOOLONG) => {
            let mode = if path == "/root" { 0o700 } else { 0o755 };
            fchmod(&target, Mode::from_raw_mode(mode)).map_err(made)?;
        }
        Err(error) => return Err(failure("opening the image's", path.to_owned(), error)),
    }
    Ok(notes)
}

/// Its being there is what counts; what it says is for people.
fn mark(marks: BorrowedFd<'_>, path: &str, seeded: &Seeded) -> Result<(), Failure> {
    let words = match seeded {
        Seeded::Before => return Ok(()),
        Seeded::InUse => json!({ "path": path, "copied": false }),
        Seeded::Now(notes) => json!({ "path": path, "copied": true, "left_out": notes.count, "notes": notes.first }),
    };
    let file = match beneath::open(marks, &name(path), beneath::NEW_FILE) {
        Ok(file) => file,
        Err(Errno::EXIST) => return Ok(()),
        Err(error) => return Err(failure("marking", path.to_owned(), error)),
    };
    let written = std::fs::File::from(file).write_all(words.to_string().as_bytes());
    written.map_err(|error| failure("marking", path.to_owned(), error))
}

fn name(path: &str) -> CString {
    // Letters, digits and a hyphen: never a NUL.
    CString::new(sub_path(path)).unwrap_or_default()
}

fn ours(error: Errno) -> Failure {
    failure("preparing", "the disk".to_owned(), error)
}

/// A disk that turns out full while it is flushed.
fn full_or<S: AsRef<str>>(failure: Failure, paths: &[S]) -> Failure {
    match failure {
        Failure::Full { .. } => Failure::Full { path: paths.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ") },
        other => other,
    }
}
