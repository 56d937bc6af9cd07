//! The gateway's certificate: for every container's name at once, and for the API's. It is replaced while connections stay.

mod files;
pub(crate) mod local;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::sync::watch as cell;

use crate::acme::{Acme, Shown};
use crate::{Config, Error};

/// How often it is looked whether there is a newer certificate.
const LOOK: Duration = Duration::from_secs(5);
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// Where certificates come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Somebody else makes them, and replaces the files.
    Files(files::Files),
    /// Signed here, by an authority of this installation's own.
    Local(Box<local::Authority>),
    /// Ordered elsewhere. Until there is one, and only until then, handshakes are made with one that is signed here: people who
    /// insist get through, and so does whoever trusts the installation's own authority.
    Acme { ordered: cell::Receiver<Shown>, until_then: Box<local::Authority>, used: Option<Arc<CertifiedKey>> },
}

impl Source {
    pub(crate) fn open(config: &Config, acme: Option<&Acme>) -> Result<Self, Error> {
        match (&config.certificate, &config.certificate_key) {
            (Some(certificate), Some(key)) => {
                Ok(Self::Files(files::Files::new(certificate.clone(), key.clone()).map_err(Error::Certificate)?))
            }
            (None, None) => {
                let folder = config.keys.as_deref().ok_or_else(|| failed("gateway.keys", "is not set"))?;
                let authority = Box::new(local::Authority::load(folder)?);
                Ok(match acme {
                    Some(acme) => Self::Acme { ordered: acme.shown(), until_then: authority, used: None },
                    None => Self::Local(authority),
                })
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
    fn next(&mut self, apex: &str) -> Result<Option<Arc<CertifiedKey>>, Failed> {
        match self {
            Self::Files(files) => Ok(files.next()?.map(Arc::new)),
            Self::Local(authority) => Ok(authority.next(apex, Utc::now())?.map(Arc::new)),
            Self::Acme { ordered, until_then, used } => {
                let now = ordered.borrow_and_update().certificate.clone();
                let Some(certificate) = now else {
                    let signed = until_then.next(apex, Utc::now())?.map(Arc::new);
                    if signed.is_some() {
                        tracing::warn!("there is no certificate by ACME yet; the local authority's serves until then");
                    }
                    return Ok(signed);
                };
                let known = used.as_ref().is_some_and(|used| used.cert == certificate.cert);
                *used = Some(certificate.clone());
                Ok((!known).then_some(certificate))
            }
        }
    }

    /// Returns when it is worth to ask before the usual time.
    async fn changed(&mut self) {
        match self {
            Self::Files(_) | Self::Local(_) => std::future::pending().await,
            Self::Acme { ordered, .. } => {
                if ordered.changed().await.is_err() {
                    std::future::pending().await
                }
            }
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

pub(crate) fn failed(what: impl ToString, why: impl ToString) -> Failed {
    Failed { what: what.to_string(), why: why.to_string() }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        Self::Certificate(failed)
    }
}

/// From when to when a certificate is good.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Result<(DateTime<Utc>, DateTime<Utc>), Failed> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|error| failed("a certificate", error))?;
    let at = |time: x509_parser::time::ASN1Time| {
        DateTime::from_timestamp(time.timestamp(), 0).ok_or_else(|| failed("a certificate", "is for no time"))
    };
    Ok((at(parsed.validity().not_before)?, at(parsed.validity().not_after)?))
}

fn tell_expiry(certificate: &CertifiedKey) {
    match certificate.cert.first().map(validity) {
        #[allow(clippy::cast_precision_loss, reason = "seconds of this century")]
        Some(Ok((_, until))) => {
            metrics::gauge!("berth_gateway_certificate_expiry_timestamp_seconds").set(until.timestamp() as f64);
        }
        Some(Err(error)) => tracing::warn!(%error, "when the certificate expires is not known"),
        None => {}
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
        tell_expiry(&first);
        let source = tokio::sync::Mutex::new(source);
        Ok(Self { apex: apex.to_owned(), source, current: RwLock::new(first) })
    }

    /// Replaces the certificate in time, without end.
    pub(crate) async fn keep_current(&self) {
        let mut source = self.source.lock().await;
        let mut every = tokio::time::interval(LOOK);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = source.changed() => {}
            }
            match source.next(&self.apex) {
                Ok(Some(next)) => {
                    tell_expiry(&next);
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
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
