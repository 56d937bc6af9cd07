//! Berth's part of every pod. `seed` fills the folders of a new disk from the image's own files before the container's main
//! process starts; `serve` is the sidecar's long-lived process; `install` puts the program where another image can run it.
//!
//! Image and disk are a stranger's. Everything is opened relative to the two root folders' descriptors with `openat2`, which
//! does not leave them, follows no magic link and crosses into no other mount; nothing is opened by an absolute path.

mod beneath;
mod copy;
mod descent;
mod entries;
mod file;
mod install;
mod note;
mod remove;
mod seed;
mod serve;

pub use install::install;
pub use note::{Failure, Notes};
pub use seed::{Seeded, seed};
pub use serve::{line, serve};
