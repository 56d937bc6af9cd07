//! One certificate for the gateway and its peer: the same kind of key, the same chain.

use std::path::PathBuf;

use anyhow::Context;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::process::Command;

pub(crate) struct Certificate {
    _folder: TempDir,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// Of an ECDSA key on P-256, which most certificates are of; signed by itself.
    pub(crate) async fn make() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=bench \
                     -addext basicConstraints=critical,CA:FALSE \
                     -addext subjectAltName=DNS:compute.berth.local,DNS:*.compute.berth.local";
        let mut openssl = Command::new("openssl");
        openssl.args(words.split_whitespace()).arg("-keyout").arg(&key).arg("-out").arg(&chain);
        let told = openssl.output().await.context("openssl")?;
        anyhow::ensure!(told.status.success(), "openssl: {}", String::from_utf8_lossy(&told.stderr));
        Ok(Self { _folder: folder, chain, key })
    }

    /// What a client trusts that takes it.
    pub(crate) fn trusted(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.chain)?)?;
        Ok(roots)
    }
}
