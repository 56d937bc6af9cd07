//! Images that a test makes: the built-in one with more files, or nothing but files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kubectl;

fn build() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../build")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Pushes an image that holds what is in `folder`, on top of the built-in image or alone, and returns its reference.
pub async fn push(name: &str, folder: &Path, on_base: bool) -> String {
    let address = kubectl::run(&["get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}"]).await;
    let work = tempfile::tempdir().unwrap();
    let (mut tar, base) = (work.path().join("files.tar"), work.path().join("rootfs.tar"));
    // It becomes the image's root folder.
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut pack = Command::new("tar");
    pack.args(["--format=posix", "--sparse", "--xattrs", "--xattrs-include=*", "--numeric-owner"]);
    run(pack.args(["--create", "--file"]).arg(&tar).arg("-C").arg(folder).arg("."));
    if on_base {
        std::fs::copy(build().join("base/rootfs.tar"), &base).expect("the base image is built: make test");
        // Appending the files themselves would take the old archive's format, which has no attributes.
        run(Command::new("tar").args(["--concatenate", "--file"]).arg(&base).arg(&tar));
        tar = base;
    }
    let reference = format!("registry.berth.internal/e2e/{name}:latest");
    let mut push = Command::new(build().join("node/bin/berth-node"));
    push.args(["image", "build", "--from-rootfs"]).arg(&tar).args(["--ref", &reference]);
    push.args(["--entrypoint", "/usr/bin/tini", "--entrypoint", "--", "--cmd", "sleep", "--cmd", "infinity"]);
    push.args(["--push", &format!("http://{address}:5000")]);
    run(&mut push);
    reference
}
