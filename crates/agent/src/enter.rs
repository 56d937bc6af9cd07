//! The last steps of a new process before it becomes the session's program: a session of its own, with its terminal, in the
//! user's home. A program of its own because these steps belong between fork and exec, where Rust has little to offer.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::stdio::stdin;

/// Becomes `program`, called `name`; a home that is not there is `/`.
///
/// # Errors
/// In words for the person at the terminal; it returns in no other case.
pub fn enter(
    terminal: bool,
    home: &Path,
    program: &Path,
    name: &OsString,
    arguments: &[OsString],
) -> Result<Infallible, String> {
    match setsid() {
        Ok(_) | Err(Errno::PERM) => {}
        Err(error) => return Err(format!("no session of its own: {error}")),
    }
    if terminal {
        ioctl_tiocsctty(stdin()).map_err(|error| format!("its terminal cannot be had: {error}"))?;
    }
    if std::env::set_current_dir(home).is_err() {
        std::env::set_current_dir("/").map_err(|error| format!("/: {error}"))?;
    }
    let error = Command::new(program).arg0(name).args(arguments).exec();
    Err(format!("{}: {error}", program.display()))
}
