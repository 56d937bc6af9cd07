//! Reports on disk, until the API has them: one file each, whole or not there, within a bound.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use berth_core::connection::Connection;
use berth_wire::Connections;
use chrono::Utc;
use tokio::sync::Notify;

use super::lost;

/// Of all files together; beyond it the oldest go. Some 200,000 connections.
const MAX_BYTES: u64 = 64 << 20;
const SUFFIX: &str = "json";

#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    number: AtomicU64,
    pub(super) arrived: Notify,
}

impl Spool {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        // Who reached what is nobody else's business.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned(), number: AtomicU64::new(0), arrived: Notify::new() })
    }

    /// One report. What the disk does not take is lost, and said to be.
    pub(super) fn keep(&self, ended: &[Connection]) {
        let connections = ended.iter().cloned().map(Into::into).collect();
        let written = serde_json::to_vec(&Connections { connections }).map_err(io::Error::from);
        if let Err(error) = written.and_then(|body| self.write(&body)) {
            lost(ended.len() as u64, &error.to_string());
        }
        self.arrived.notify_one();
    }

    fn write(&self, body: &[u8]) -> io::Result<()> {
        self.make_room(body.len() as u64)?;
        // Names are in the order of time, over restarts too.
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:020}-{number:010}", Utc::now().timestamp_micros());
        let new = self.folder.join(&name).with_extension("new");
        let mut file = fs::File::create(&new)?;
        file.write_all(body)?;
        file.sync_data()?;
        fs::rename(&new, self.folder.join(&name).with_extension(SUFFIX))
    }

    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let files = self.waiting()?;
        let sizes: Vec<u64> = files.iter().map(|file| file.metadata().map_or(0, |meta| meta.len())).collect();
        let mut total: u64 = sizes.iter().sum::<u64>() + bytes;
        for (file, size) in files.iter().zip(sizes) {
            if total <= MAX_BYTES {
                break;
            }
            lost(fs::read(file).map_or(0, |body| told(&body)), "the API was away for too long");
            fs::remove_file(file)?;
            total -= size;
        }
        Ok(())
    }

    /// Oldest first.
    pub(super) fn waiting(&self) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.folder)?.collect::<io::Result<Vec<_>>>()?;
        let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == SUFFIX));
        files.sort();
        Ok(files)
    }
}

/// How many connections a report tells of.
pub(super) fn told(report: &[u8]) -> u64 {
    serde_json::from_slice::<Connections>(report).map_or(0, |told| told.connections.len() as u64)
}
