//! Root folders that stand for images. Each runs `spawn` in a mount and a process namespace of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::program;

pub(crate) struct Root {
    kind: Kind,
    folder: TempDir,
}

#[derive(PartialEq)]
enum Kind {
    Debian,
    Small,
}

impl Root {
    /// This machine's own files, with a home that is empty.
    pub(crate) fn debian() -> Self {
        Self { kind: Kind::Debian, folder: tempfile::tempdir().unwrap() }
    }

    /// One static busybox, and a user database that names its shell.
    pub(crate) fn busybox() -> Self {
        let root = Self::bare();
        fs::copy("/bin/busybox", root.path("bin/busybox")).unwrap();
        for name in ["ash", "sh", "cat", "id", "ls", "env", "tty", "stty", "ps", "df", "mount", "kill", "sleep", "echo"]
        {
            symlink("busybox", root.path("bin").join(name)).unwrap();
        }
        fs::create_dir(root.path("etc")).unwrap();
        fs::write(root.path("etc/passwd"), "root:x:0:0:root:/root:/bin/ash\n").unwrap();
        root
    }

    /// No shell, no user database, no folder for temporary files: a program alone, which here is our own.
    pub(crate) fn bare() -> Self {
        let root = Self { kind: Kind::Small, folder: tempfile::tempdir().unwrap() };
        for folder in ["bin", "berth", "lib64", "proc", "dev", "root", "link"] {
            fs::create_dir_all(root.path(folder)).unwrap();
        }
        fs::copy(program(), root.path("berth/berth-agent")).unwrap();
        // As it is built for tests, it wants these; what is shipped is static.
        let libraries = Command::new("ldd").arg(program()).output().unwrap();
        let libraries = String::from_utf8(libraries.stdout).unwrap();
        for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = root.path(library.trim_start_matches('/'));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(library, to).unwrap();
        }
        root
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// Where the shared folder is inside.
    pub(crate) fn run(&self, link: &Path) -> Child {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"]);
        let script = match self.kind {
            Kind::Debian => {
                "mount -t proc proc /proc && mount --bind \"$1\" /root && cd /root && exec \"$3\" spawn --foreground --link \"$2\""
            }
            Kind::Small => {
                "mount --bind \"$2\" \"$1/link\" && mount -t proc proc \"$1/proc\" && mount --rbind /dev \"$1/dev\" \
                 && exec chroot \"$1\" /berth/berth-agent spawn --foreground --link /link"
            }
        };
        command.arg(script).arg("sh").arg(self.folder.path()).arg(link).arg(program());
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("FROM_IMAGE", "yes").env("HOME", "/root");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Nothing is mounted outside its namespace; the folder goes with the value.
    pub(crate) fn release(&self) {}
}
