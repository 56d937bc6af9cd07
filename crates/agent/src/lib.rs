//! Berth's part of every pod. `seed` fills the folders of a new disk from the image's own files before the container's main
//! process starts; `serve` is the sidecar's long-lived process, which also lets the owner in by SSH; `spawn` starts SSH's
//! sessions inside main; `install` puts the program where another image can run it.
//!
//! Image and disk are a stranger's. Everything that seeding opens is opened relative to the two root folders' descriptors with
//! `openat2`, which does not leave them, follows no magic link and crosses into no other mount; nothing is opened by an
//! absolute path.

mod beneath;
mod copy;
mod descent;
mod enter;
mod entries;
mod file;
mod install;
mod link;
mod note;
mod remove;
mod say;
mod seed;
mod serve;
mod sftp;
mod spawn;
mod ssh;

pub use enter::enter;
pub use install::install;
pub use note::{Failure, Notes};
pub use seed::{Seeded, seed};
pub use serve::{line, serve};
pub use sftp::serve_sftp;
pub use spawn::{serve_sessions, spawn};
pub use ssh::{Settings, serve_ssh};
