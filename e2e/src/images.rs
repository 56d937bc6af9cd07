//! Images of the tests' own: the base image's files with another main process, in the node's registry.

use std::path::Path;

use tokio::process::Command;

use crate::kubectl;

/// Pushes one and returns its reference. `entrypoint` is its main process, word by word.
pub async fn push(name: &str, entrypoint: &[&str]) -> String {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build");
    let reference = format!("registry.berth.internal/test/{name}:1");
    let node = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
    let node = kubectl::run(&["get", "nodes", "-o", node]).await;
    let mut command = Command::new(build.join("node/bin/berth-node"));
    command.args(["image", "build", "--ref", &reference, "--push", &format!("http://{node}:5000"), "--from-rootfs"]);
    command.arg(build.join("base/rootfs.tar"));
    for word in entrypoint {
        command.args(["--entrypoint", word]);
    }
    let output = command.output().await.expect("berth-node runs: make node");
    assert!(output.status.success(), "pushing {reference}: {}", String::from_utf8_lossy(&output.stderr));
    reference
}
