//! What the Secret holds: all that replicas need to know of each other, and all that outlives them. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use k8s_openapi::ByteString;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::plan;
use crate::tls::{Failed, failed, validity};

/// As `kubernetes.io/tls` names them, so that others find them.
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";
const ACCOUNT: &str = "account.json";
const BOOK: &str = "state.json";

/// Its Debug prints no secret.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) book: Book,
    /// What the authority knows us by.
    pub(super) account: Option<SecretString>,
    pub(super) certificate: Option<Certificate>,
}

/// What is no secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Book {
    /// What everything else here is of.
    pub(super) wanted: Wanted,
    pub(super) claim: Option<Claim>,
    /// What the zone says while an order is under way.
    pub(super) challenges: Vec<String>,
    /// When the last order began.
    pub(super) ordered_at: Option<DateTime<Utc>>,
    pub(super) renew_at: Option<DateTime<Utc>>,
    /// Where `renew_at` is from, where the directory says.
    pub(super) window: Option<Window>,
    pub(super) ask_at: Option<DateTime<Utc>>,
    /// In a row.
    pub(super) failures: u32,
    pub(super) retry_at: Option<DateTime<Utc>>,
    pub(super) error: Option<String>,
}

/// Another authority or other names: another certificate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) directory: String,
    pub(super) names: Vec<String>,
}

/// One replica orders at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) by: String,
    pub(super) until: DateTime<Utc>,
}

/// In which the directory wants the certificate renewed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Validity {
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
}

impl Validity {
    pub(super) fn life(self) -> TimeDelta {
        self.until - self.from
    }
}

#[derive(Debug, Clone)]
pub(super) struct Certificate {
    chain: String,
    key: SecretString,
    pub(super) parsed: Arc<CertifiedKey>,
    pub(super) validity: Validity,
}

impl Certificate {
    /// # Errors
    /// When they are no certificate and its key.
    pub(super) fn parse(chain: String, key: SecretString) -> Result<Self, Failed> {
        let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let parsed = parsed.map_err(|error| failed(CHAIN, error))?;
        let leaf = parsed.first().ok_or_else(|| failed(CHAIN, "holds no certificate"))?;
        let (from, until) = validity(leaf)?;
        let private = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes());
        let private = private.map_err(|error| failed(KEY, error))?;
        let parsed = CertifiedKey::from_der(parsed, private, &ring::default_provider());
        let parsed = Arc::new(parsed.map_err(|error| failed(KEY, error))?);
        Ok(Self { chain, key, parsed, validity: Validity { from, until } })
    }
}

impl State {
    /// # Errors
    /// When somebody else wrote into it what is not understood.
    pub(super) fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, Failed> {
        let text = |name: &str| {
            let bytes = data.get(name).filter(|bytes| !bytes.0.is_empty());
            bytes.map(|bytes| String::from_utf8(bytes.0.clone())).transpose().map_err(|_| failed(name, "is no text"))
        };
        let book = text(BOOK)?.map(|book| serde_json::from_str(&book)).transpose();
        let book = book.map_err(|error| failed(BOOK, error))?.unwrap_or_default();
        let certificate = match (text(CHAIN)?, text(KEY)?) {
            (Some(chain), Some(key)) => Some(Certificate::parse(chain, key.into())?),
            _none => None,
        };
        Ok(Self { book, account: text(ACCOUNT)?.map(Into::into), certificate })
    }

    pub(super) fn write(&self) -> Result<BTreeMap<String, ByteString>, Failed> {
        let book = serde_json::to_string_pretty(&self.book).map_err(|error| failed(BOOK, error))?;
        let certificate = self.certificate.as_ref();
        let parts = [
            (BOOK, Some(book.as_str())),
            (ACCOUNT, self.account.as_ref().map(ExposeSecret::expose_secret)),
            (CHAIN, certificate.map(|certificate| certificate.chain.as_str())),
            (KEY, certificate.map(|certificate| certificate.key.expose_secret())),
        ];
        let there = parts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
        Ok(there.map(|(name, text)| (name, ByteString(text.as_bytes().to_vec()))).collect())
    }

    /// What handshakes are made with: a certificate for other names is none.
    pub(super) fn serving(&self, wanted: &Wanted) -> Option<&Certificate> {
        self.certificate.as_ref().filter(|_| self.book.wanted.names == wanted.names)
    }

    /// An order of ours begins. What was noted of another authority or other names is forgotten; a certificate for the same
    /// names serves on until the new one is there.
    pub(super) fn claim(&mut self, wanted: &Wanted, by: &str, now: DateTime<Utc>) {
        if self.book.wanted != *wanted {
            self.certificate = self.serving(wanted).cloned();
            self.account = None;
            self.book = Book { wanted: wanted.clone(), ..Book::default() };
        }
        self.book.claim = Some(Claim { by: by.to_owned(), until: now + plan::CLAIM });
        self.book.ordered_at = Some(now);
        self.book.challenges = Vec::new();
    }

    /// It came to a certificate.
    pub(super) fn issued(&mut self, certificate: Certificate, now: DateTime<Utc>) {
        let renew_at = plan::renewal(certificate.validity);
        let Book { wanted, ordered_at, .. } = std::mem::take(&mut self.book);
        // The directory is asked at once when it wants this one renewed.
        self.book = Book { wanted, ordered_at, renew_at: Some(renew_at), ask_at: Some(now), ..Book::default() };
        self.certificate = Some(certificate);
    }

    /// It came to nothing; the old certificate stays.
    pub(super) fn failed(&mut self, error: String, retry: impl FnOnce(u32) -> DateTime<Utc>) {
        self.book.claim = None;
        self.book.challenges = Vec::new();
        self.book.failures = self.book.failures.saturating_add(1);
        self.book.retry_at = Some(retry(self.book.failures));
        self.book.error = Some(error);
    }
}

#[cfg(test)]
pub(in crate::acme) mod tests;
