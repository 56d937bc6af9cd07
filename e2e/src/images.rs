//! Images of the tests' own, in the node's registry: the base image with another main process or with more files.

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

async fn registry() -> String {
    let node = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
    format!("http://{}:5000", kubectl::run(&["get", "nodes", "-o", node]).await)
}

/// Pushes one and returns its reference. `entrypoint` is its main process, word by word.
pub async fn push(name: &str, entrypoint: &[&str]) -> String {
    let reference = format!("registry.berth.internal/test/{name}:1");
    let mut command = Command::new(build().join("node/bin/berth-node"));
    command.args(["image", "build", "--ref", &reference, "--push", &registry().await, "--from-rootfs"]);
    command.arg(build().join("base/rootfs.tar"));
    for word in entrypoint {
        command.args(["--entrypoint", word]);
    }
    run(&mut command);
    reference
}

/// Pushes an image that holds what is in `folder`, on top of the built-in image or alone, and returns its reference.
pub async fn push_files(name: &str, folder: &Path, on_base: bool) -> String {
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
    push.args(["--push", &registry().await]);
    run(&mut push);
    reference
}
