//! Images of the tests' own, in the node's registry: the base image with another main process or with more files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tokio::sync::OnceCell;

use crate::{install_crypto, kubectl};

fn build() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../build")
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where the node's registry is asked.
pub async fn registry() -> String {
    static FOUND: OnceCell<String> = OnceCell::const_new();
    let find = async || {
        if let Ok(told) = std::env::var("BERTH_REGISTRY__ENDPOINT") {
            return told;
        }
        let node = "jsonpath={.items[0].status.addresses[?(@.type==\"InternalIP\")].address}";
        format!("http://{}:5000", kubectl::run(&["get", "nodes", "-o", node]).await)
    };
    FOUND.get_or_init(find).await.clone()
}

/// Pushes one and returns its reference. `entrypoint` is its main process, word by word.
pub async fn push(name: &str, entrypoint: &[&str]) -> String {
    push_as(&format!("test/{name}:1"), entrypoint, &[]).await.reference
}

/// An image in the registry, and what its tag stood for when it was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub reference: String,
    pub digest: String,
}

/// Pushes the base image with another main process under this repository and tag; `more` are further flags.
pub async fn push_as(name: &str, entrypoint: &[&str], more: &[&str]) -> Pushed {
    push_to(&registry().await, &format!("registry.berth.internal/{name}"), entrypoint, more)
}

/// The same to a registry elsewhere.
pub fn push_to(registry: &str, reference: &str, entrypoint: &[&str], more: &[&str]) -> Pushed {
    let mut command = Command::new(build().join("node/bin/berth-node"));
    command.args(["image", "build", "--ref", reference, "--push", registry, "--from-rootfs"]);
    command.arg(build().join("base/rootfs.tar")).args(more);
    for word in entrypoint {
        command.args(["--entrypoint", word]);
    }
    delivered(reference, &run(&mut command))
}

/// Pushes an image that holds what is in `folder`, on top of the built-in image or alone, and returns its reference.
pub async fn push_files(name: &str, folder: &Path, on_base: bool) -> String {
    push_folder(name, folder, on_base).await.reference
}

/// The same, with its digest.
pub async fn push_folder(name: &str, folder: &Path, on_base: bool) -> Pushed {
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
    delivered(&reference, &run(&mut push))
}

fn delivered(reference: &str, told: &str) -> Pushed {
    let (_, digest) = told.trim().split_once('@').expect("it tells the digest");
    Pushed { reference: reference.to_owned(), digest: digest.to_owned() }
}

/// Pushes an image that is there and cannot be pulled, because its layers are gone; returns its reference.
pub async fn push_lost(name: &str) -> String {
    let files = tempfile::tempdir().unwrap();
    // No node has a layer of this content yet.
    std::fs::write(files.path().join("word"), format!("{name} {}", std::process::id())).unwrap();
    let image = push_folder(&format!("{name}-{}", std::process::id()), files.path(), false).await;
    lose_layers(&image).await;
    image.reference
}

/// Takes away the layers of an image that was pushed: whoever pulls it learns that they are not found.
pub async fn lose_layers(pushed: &Pushed) {
    install_crypto();
    let (registry, client) = (registry().await, reqwest::Client::new());
    let path = pushed.reference.trim_start_matches("registry.berth.internal/");
    let (repository, _) = path.rsplit_once(':').expect("a tag");
    let manifest = client.get(format!("{registry}/v2/{repository}/manifests/{}", pushed.digest));
    let manifest = manifest.header("Accept", "application/vnd.oci.image.manifest.v1+json").send().await.unwrap();
    let manifest: Value = manifest.json().await.expect("a manifest");
    for layer in manifest["layers"].as_array().expect("layers") {
        let blob = format!("{registry}/v2/{repository}/blobs/{}", layer["digest"].as_str().unwrap());
        assert!(client.delete(blob).send().await.unwrap().status().is_success(), "{layer}");
    }
}
