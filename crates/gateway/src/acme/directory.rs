//! The authority, spoken to over HTTPS.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::{BodyExt, Limited};
use instant_acme::{
    Account, AccountCredentials, BodyWrapper, BytesResponse, CertificateIdentifier, ExternalAccountKey, HttpClient,
    NewAccount,
};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};

use super::config::{Acme, Binding, Loaded};
use super::state::Window;
use crate::tls::{Failed, failed};

const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
/// A chain is a few kilobytes.
const MAX_ANSWER: usize = 1 << 20;

/// Why there is no certificate, in the authority's own words where it had any.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) kind: Kind,
    /// When the authority wants to hear of us again.
    pub(super) not_before: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    NoAnswer,
    Refused,
    /// The account is not known there (any more).
    NoAccount,
}

pub(super) struct Directory {
    url: String,
    contact: Vec<String>,
    binding: Option<Binding>,
    http: Http,
}

impl Directory {
    pub(super) fn new(settings: &Acme, loaded: Loaded) -> Result<Self, Failed> {
        let Loaded { roots, binding } = loaded;
        let client = reqwest::Client::builder().https_only(true).connect_timeout(CONNECT).timeout(ANSWER);
        let client = if roots.is_empty() { client } else { client.tls_certs_only(roots) };
        let client = client.build().map_err(|error| failed("gateway.acme", chain_of(&error)))?;
        let http = Http { client, not_before: Arc::default() };
        Ok(Self { url: settings.directory.clone(), contact: settings.contact.clone(), binding, http })
    }

    /// The account of these credentials, or a new one with credentials to be kept.
    pub(super) async fn account(
        &self,
        kept: Option<&SecretString>,
    ) -> Result<(Account, Option<SecretString>), Failure> {
        let builder = || Account::builder_with_http(Box::new(self.http.clone()));
        if let Some(kept) = kept {
            let credentials: AccountCredentials = serde_json::from_str(kept.expose_secret()).map_err(|_| Failure {
                why: "the account's credentials in the Secret are not understood".to_owned(),
                kind: Kind::NoAccount,
                not_before: None,
            })?;
            let account = builder().from_credentials(credentials).await.map_err(|error| self.failure(error))?;
            return Ok((account, None));
        }
        let contact: Vec<&str> = self.contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let binding = self.binding.as_ref();
        let binding =
            binding.map(|binding| ExternalAccountKey::new(binding.key_id.clone(), binding.key.expose_secret()));
        let made = builder().create(&new, self.url.clone(), binding.as_ref()).await;
        let (account, credentials) = made.map_err(|error| self.failure(error))?;
        let credentials = serde_json::to_string(&credentials).map_err(|error| self.failure(error.into()))?;
        tracing::info!(directory = self.url, account = account.id(), "an ACME account was made");
        Ok((account, Some(credentials.into())))
    }

    /// In which the directory wants this certificate renewed, and when it wants to be asked again; `None`: it never says.
    pub(super) async fn window(
        &self,
        account: &Account,
        leaf: &CertificateDer<'_>,
    ) -> Result<Option<(Window, TimeDelta)>, Failure> {
        let Some(identifier) = identifier(leaf) else { return Ok(None) };
        let (info, again) = match account.renewal_info(&identifier).await {
            Ok(told) => told,
            Err(instant_acme::Error::Unsupported(_)) => return Ok(None),
            Err(error) => return Err(self.failure(error)),
        };
        let at = |time: time::OffsetDateTime| DateTime::from_timestamp(time.unix_timestamp(), 0).unwrap_or_default();
        let window = Window { start: at(info.suggested_window.start), end: at(info.suggested_window.end) };
        if let Some(explanation) = info.explanation_url {
            tracing::info!(explanation, "the authority says why it wants the certificate renewed when it does");
        }
        Ok(Some((window, TimeDelta::from_std(again).unwrap_or(TimeDelta::MAX))))
    }

    pub(super) fn failure(&self, error: instant_acme::Error) -> Failure {
        let not_before = self.http.not_before.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kind = match &error {
            instant_acme::Error::Api(problem) if is(problem, "accountDoesNotExist") => Kind::NoAccount,
            instant_acme::Error::Api(_) => Kind::Refused,
            _transport => Kind::NoAnswer,
        };
        Failure { why: chain_of(&error), kind, not_before }
    }
}

fn is(problem: &instant_acme::Problem, name: &str) -> bool {
    problem.r#type.as_deref().and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:")) == Some(name)
}

/// What a certificate is called where it is renewed (RFC 9773, 4.1); one that does not say who signed it has no such name.
pub(super) fn identifier<'a>(leaf: &'a CertificateDer<'_>) -> Option<CertificateIdentifier<'a>> {
    CertificateIdentifier::try_from(leaf).ok()
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = error.source();
    }
    words
}

/// The gateway's own HTTP client beneath the ACME library: answers are bounded, and a refusal's `Retry-After` is kept.
#[derive(Debug, Clone)]
struct Http {
    client: reqwest::Client,
    not_before: Arc<Mutex<Option<DateTime<Utc>>>>,
}

impl HttpClient for Http {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let http = self.clone();
        let other = |error: reqwest::Error| instant_acme::Error::Other(Box::new(error));
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
            let request = reqwest::Request::try_from(http::Request::from_parts(parts, body)).map_err(other)?;
            let response = http.client.execute(request).await.map_err(other)?;
            let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
            if parts.status.is_client_error() || parts.status.is_server_error() {
                let later = parts.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                *http.not_before.lock().unwrap_or_else(PoisonError::into_inner) =
                    later.and_then(|later| retry_after(later, Utc::now()));
            }
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(instant_acme::Error::Other)?;
            Ok(BytesResponse { parts, body: Box::new(body.to_bytes()) })
        })
    }
}

/// RFC 9110: seconds, or a date.
fn retry_after(value: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match u32::from_str(value.trim()) {
        Ok(seconds) => Some(now + TimeDelta::seconds(seconds.into())),
        Err(_) => DateTime::parse_from_rfc2822(value.trim()).ok().map(|at| at.to_utc()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;

    #[test]
    fn later_is_said_in_two_ways() {
        let now = Utc::now();
        assert_eq!(retry_after(" 120 ", now), Some(now + TimeDelta::seconds(120)));
        let date: DateTime<Utc> = "1999-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT", now), Some(date));
        assert_eq!(retry_after("soon", now), None);
    }
}
