//! The gateway's certificate: for every container's name at once, and for the API's. It is replaced while connections stay.

mod files;
pub(crate) mod local;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use crate::{Config, Error};

/// How often it is looked whether there is a newer certificate.
const LOOK: Duration = Duration::from_secs(5);
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Where certificates come from. ACME becomes another of these: it, too, is asked for a certificate now and then.
#[derive(Debug)]
pub(crate) enum Source {
    /// Somebody else makes them, and replaces the files.
    Files(files::Files),
    /// Signed here, by an authority of this installation's own.
    Local(Box<local::Authority>),
}

impl Source {
    pub(crate) fn open(config: &Config) -> Result<Self, Error> {
        match (&config.certificate, &config.certificate_key) {
            (Some(certificate), Some(key)) => {
                Ok(Self::Files(files::Files::new(certificate.clone(), key.clone()).map_err(Error::Certificate)?))
            }
            (None, None) => {
                let folder = config.keys.as_deref().ok_or_else(|| failed("gateway.keys", "is not set"))?;
                Ok(Self::Local(Box::new(local::Authority::load(folder).map_err(Error::Certificate)?)))
            }
            (Some(_), None) => {
                Err(failed("gateway.certificate_key", "belongs to gateway.certificate and is not set").into())
            }
            (None, Some(_)) => {
                Err(failed("gateway.certificate", "belongs to gateway.certificate_key and is not set").into())
            }
        }
    }

    /// A certificate for the name itself and all one label below it; `None` while the last one is still good.
    fn next(&mut self, apex: &str) -> Result<Option<CertifiedKey>, Failed> {
        match self {
            Self::Files(files) => files.next(),
            Self::Local(authority) => authority.next(apex, chrono::Utc::now()),
        }
    }
}

/// What and why.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Failed {
    what: String,
    why: String,
}

fn failed(what: impl ToString, why: impl ToString) -> Failed {
    Failed { what: what.to_string(), why: why.to_string() }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        Self::Certificate(failed)
    }
}

/// What handshakes are made with now.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// `compute.<domain>`
    apex: String,
    source: tokio::sync::Mutex<Source>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    pub(crate) fn new(mut source: Source, apex: &str) -> Result<Self, Failed> {
        let first = source.next(apex)?.ok_or_else(|| failed("the certificate", "there is none"))?;
        let source = tokio::sync::Mutex::new(source);
        Ok(Self { apex: apex.to_owned(), source, current: RwLock::new(Arc::new(first)) })
    }

    /// Replaces the certificate in time, without end.
    pub(crate) async fn keep_current(&self) {
        let mut source = self.source.lock().await;
        let mut every = tokio::time::interval(LOOK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            match source.next(&self.apex) {
                Ok(Some(next)) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
                    tracing::info!("the gateway has a new certificate");
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "no new certificate; the old one stays"),
            }
        }
    }

    /// Whether handshakes with this name come to an end: no certificate of ours is for any other.
    fn is_ours(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        let below = || {
            name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(&self.apex))
        };
        name.eq_ignore_ascii_case(&self.apex) || below()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let ours = hello.server_name().is_some_and(|name| self.is_ours(name));
        ours.then(|| self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Resumption by tickets, whose keys live in this process and turn over every few hours.
pub(crate) fn server_config(certificates: Arc<Certificates>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&VERSIONS).unwrap_or_else(|error| {
        unreachable!("ring speaks both versions: {error}");
    });
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    match ring::Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        Err(error) => tracing::warn!(%error, "TLS sessions are not resumed by tickets"),
    }
    config
}

#[cfg(test)]
mod tests;
