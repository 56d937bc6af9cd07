//! Seeding in temporary folders, as root: exact copies, first use alone, kills, and images and disks that mean harm.
#![allow(clippy::unwrap_used, reason = "test code")]

mod exact;
mod hostile;
mod once;
mod program;
mod tree;

use std::path::{Path, PathBuf};

use berth_agent::{Failure, Notes, Seeded};
use berth_core::mount::sub_path;
use tempfile::TempDir;

/// An image and a disk in one temporary folder, beside a secret that neither may reach.
struct Lab {
    _folder: TempDir,
    image: PathBuf,
    disk: PathBuf,
    outside: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [image, disk, outside] = ["image", "disk", "outside"].map(|name| folder.path().join(name));
        for path in [&image, &disk, &outside] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::write(outside.join("secret"), "secret").unwrap();
        Self { _folder: folder, image, disk, outside }
    }

    /// A file of the image, and the folders above it.
    fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.image.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    fn link(&self, path: &str, to: impl AsRef<Path>) {
        let path = self.image.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(to, path).unwrap();
    }

    fn try_seed(&self, paths: &[&str]) -> Result<Vec<Seeded>, Failure> {
        berth_agent::seed(&self.image, &self.disk, paths)
    }

    fn seed(&self, path: &str) -> Seeded {
        self.try_seed(&[path]).unwrap().remove(0)
    }

    /// Where a mount path's files are on the disk.
    fn on_disk(&self, path: &str) -> PathBuf {
        self.disk.join(sub_path(path))
    }

    /// The secret is as it was, and nothing was put beside it.
    fn outside_is_untouched(&self) {
        assert_eq!(tree::list(&self.outside), ["secret"]);
        assert_eq!(std::fs::read_to_string(self.outside.join("secret")).unwrap(), "secret");
    }

    /// No byte of the secret is on the disk.
    fn nothing_leaked(&self, path: &str) {
        let found =
            std::process::Command::new("grep").args(["-rls", "secret"]).arg(self.on_disk(path)).output().unwrap();
        assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
}

fn copied_whole() -> Seeded {
    Seeded::Now(Notes::default())
}
