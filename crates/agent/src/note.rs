//! What is told of a copy: what had to be left out, and why it failed. Names are a stranger's bytes and shown escaped.

use std::io;

/// Notes that are kept word for word; more are only counted.
const KEPT: usize = 20;
/// Bytes of a name that are shown.
const SHOWN: usize = 200;

/// What was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    pub count: u64,
    pub first: Vec<String>,
}

impl Notes {
    pub(crate) fn add(&mut self, folder: &[u8], name: &[u8], why: &str) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(format!("{}: {why}", shown(folder, name)));
        }
    }
}

/// Why a disk could not be prepared, in one sentence.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the image's files at {path} need more room than the disk has")]
    Full { path: String },
    #[error("{doing} {path}: {error}")]
    Io { doing: &'static str, path: String, error: io::Error },
    /// Only somebody outside the container can have put it there.
    #[error("the disk holds something else than a folder where the files of {path} belong")]
    NotAFolder { path: String },
}

/// How full a disk is told from other trouble.
pub(crate) fn failure(doing: &'static str, path: String, error: impl Into<io::Error>) -> Failure {
    let error = error.into();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Failure::Full { path },
        _other => Failure::Io { doing, path, error },
    }
}

/// A path for a person: printable, and of a length that fits a message.
pub(crate) fn shown(folder: &[u8], name: &[u8]) -> String {
    let cut = |bytes: &[u8]| match bytes.get(..SHOWN) {
        Some(start) => format!("{}…", start.escape_ascii()),
        None => bytes.escape_ascii().to_string(),
    };
    format!("{}{}", cut(folder), cut(name))
}
