//! A certificate that somebody else renews: two PEM files, read again when they change.

use std::path::{Path, PathBuf};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{Failed, failed};

#[derive(Debug)]
pub(crate) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// What was last made of them. A Secret's files are links that turn to new ones, so contents are compared, not times.
    known: Option<(Vec<u8>, Vec<u8>)>,
    /// What could not be used is said once.
    bad: Option<(Vec<u8>, Vec<u8>)>,
}

impl Files {
    /// # Errors
    /// When they are no certificate and its key now.
    pub(crate) fn new(certificate: PathBuf, key: PathBuf) -> Result<Self, Failed> {
        let mut files = Self { certificate, key, known: None, bad: None };
        files.next()?;
        files.known = None;
        Ok(files)
    }

    pub(crate) fn next(&mut self) -> Result<Option<CertifiedKey>, Failed> {
        let now = Some((read(&self.certificate)?, read(&self.key)?));
        if now == self.known || now == self.bad {
            return Ok(None);
        }
        match self.parse(now.as_ref()) {
            Ok(key) => {
                self.known = now;
                self.bad = None;
                Ok(Some(key))
            }
            Err(error) => {
                self.bad = now;
                Err(error)
            }
        }
    }

    fn parse(&self, contents: Option<&(Vec<u8>, Vec<u8>)>) -> Result<CertifiedKey, Failed> {
        let (certificate, key) = contents.ok_or_else(|| failed(self.certificate.display(), "is empty"))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| failed(self.certificate.display(), error))?;
        if chain.is_empty() {
            return Err(failed(self.certificate.display(), "holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| failed(self.key.display(), error))?;
        // It is checked that the two belong together: a renewal may be seen when one file is new and one is old.
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| failed(self.key.display(), error))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(file).map_err(|error| failed(file.display(), error))
}
