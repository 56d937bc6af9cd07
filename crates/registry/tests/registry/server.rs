//! A registry on a free port, with its own folder.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor,
    OciImageIndex, OciImageManifest, OciManifest, Platform,
};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::time::Instant;

/// `berth:right`
const HTPASSWD: &str = "berth:$2y$05$abcdefghijklmnopqrstuu8xaCxxL82bnl.UY74PMksDxIJShppPC";

pub(crate) struct Server {
    pub(crate) authority: String,
    folder: TempDir,
    process: Child,
    auth: RegistryAuth,
    client: Client,
}

impl Server {
    pub(crate) async fn start(private: bool) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let authority = format!("127.0.0.1:{port}");
        let mut config = json!({
            "version": "0.1",
            "log": { "level": "error", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": folder.path().join("data") } },
            "http": { "addr": authority },
        });
        if private {
            let file = folder.path().join("htpasswd");
            writeln!(std::fs::File::create(&file).unwrap(), "{HTPASSWD}").unwrap();
            config["auth"] = json!({ "htpasswd": { "realm": "test", "path": file } });
        }
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let process = Command::new("setpriv")
            .args(["--pdeathsig=KILL", "docker-registry", "serve"])
            .arg(file)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed: scripts/prereqs.sh");
        let deadline = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(&authority).await.is_err() {
            assert!(Instant::now() < deadline, "gave up waiting for the registry");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let auth =
            if private { RegistryAuth::Basic("berth".to_owned(), "right".to_owned()) } else { RegistryAuth::Anonymous };
        let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
        client.store_auth_if_needed(&authority, &auth).await;
        Self { authority, folder, process, auth, client }
    }

    fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.authority).parse().unwrap()
    }

    async fn blob(&self, name: &str, media_type: &str, content: Vec<u8>) -> OciDescriptor {
        let size = i64::try_from(content.len()).unwrap();
        let digest =
            Sha256::digest(&content).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        self.client.push_blob(&self.reference(name), content, &digest).await.unwrap();
        OciDescriptor { media_type: media_type.to_owned(), digest, size, ..OciDescriptor::default() }
    }

    async fn manifest(&self, name: &str, manifest: OciManifest) -> String {
        self.client.push_manifest(&self.reference(name), &manifest).await.unwrap();
        self.client.fetch_manifest_digest(&self.reference(name), &self.auth).await.unwrap()
    }

    /// Without a layer: nobody runs it. Returns its digest.
    pub(crate) async fn push(&self, name: &str, media_type: &str, config: Vec<u8>) -> String {
        let config = self.blob(name, media_type, config).await;
        let manifest = OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            config,
            ..OciImageManifest::default()
        };
        self.manifest(name, OciManifest::Image(manifest)).await
    }

    pub(crate) async fn push_image(&self, name: &str, os: &str, architecture: &str) -> String {
        let config = json!({ "os": os, "architecture": architecture, "rootfs": { "type": "layers", "diff_ids": [] } });
        self.push(name, IMAGE_CONFIG_MEDIA_TYPE, config.to_string().into_bytes()).await
    }

    /// One image a platform, and an index of them.
    pub(crate) async fn push_index(&self, name: &str, platforms: &[(&str, &str)]) -> String {
        let mut manifests = Vec::new();
        for (number, (os, architecture)) in platforms.iter().enumerate() {
            let repository = name.split(':').next().unwrap();
            let digest = self.push_image(&format!("{repository}:part{number}"), os, architecture).await;
            let platform: Platform = serde_json::from_value(json!({ "os": os, "architecture": architecture })).unwrap();
            manifests.push(ImageIndexEntry {
                media_type: OCI_IMAGE_MEDIA_TYPE.to_owned(),
                digest,
                size: 1,
                platform: Some(platform),
                annotations: None,
                artifact_type: None,
            });
        }
        let index = OciImageIndex {
            schema_version: 2,
            media_type: Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned()),
            manifests,
            artifact_type: None,
            annotations: None,
        };
        self.manifest(name, OciManifest::ImageIndex(index)).await
    }

    /// Lists need no more than folders.
    pub(crate) fn pretend(&self, repository: &str, tags: &[String]) {
        let folder: PathBuf = self.folder.path().join("data/docker/registry/v2/repositories").join(repository);
        std::fs::create_dir_all(folder.join("_layers")).unwrap();
        for tag in tags {
            std::fs::create_dir_all(folder.join("_manifests/tags").join(tag).join("current")).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("the registry can be killed");
    }
}
