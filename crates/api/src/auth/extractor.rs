//! Reads the credential of a request.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum_extra::extract::CookieJar;
use secrecy::SecretString;

use super::{Caller, address_of, authenticate};
use crate::error::{Kind, Problem};
use crate::state::{Api, Config};

/// `__Host-`: never sent to, or set by, another host; a tenant's page cannot plant one.
pub(crate) const COOKIE: &str = "__Host-berth";

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let from = address_of(&parts.extensions, &parts.headers, &api.config.trusted_proxies);
        if let Some(secret) = bearer(&parts.headers) {
            return authenticate(api, secret, from).await;
        }
        let secret = cookie(&parts.headers).ok_or_else(Problem::unauthenticated)?;
        let safe = matches!(parts.method, Method::GET | Method::HEAD);
        if !safe && !same_origin(&parts.headers, &api.config) {
            return Err(cross_origin());
        }
        authenticate(api, secret, from).await
    }
}

/// The caller of a WebSocket: browsers cannot set headers there, so `?token=` is read too, and a cookie needs its origin.
#[derive(Debug)]
pub(crate) struct SocketCaller(pub(crate) Caller);

impl FromRequestParts<Api> for SocketCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let from = address_of(&parts.extensions, &parts.headers, &api.config.trusted_proxies);
        let query = parts.uri.query().unwrap_or_default();
        let token = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "token");
        let given = bearer(&parts.headers).or_else(|| token.map(|(_, value)| SecretString::from(value.into_owned())));
        if let Some(secret) = given {
            return authenticate(api, secret, from).await.map(Self);
        }
        let secret = cookie(&parts.headers).ok_or_else(Problem::unauthenticated)?;
        if !same_origin(&parts.headers, &api.config) {
            return Err(cross_origin());
        }
        authenticate(api, secret, from).await.map(Self)
    }
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| SecretString::from(secret.trim()))
}

fn cookie(headers: &HeaderMap) -> Option<SecretString> {
    CookieJar::from_headers(headers).get(COOKIE).map(|cookie| SecretString::from(cookie.value()))
}

/// Whether the page that sent this request came from the host it is sent to. Where that host is known to be reached by
/// https, a page that came by http is a stranger: somebody on the way could have written it.
pub(crate) fn same_origin(headers: &HeaderMap, config: &Config) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some((scheme, origin)) = text(header::ORIGIN).and_then(|origin| origin.split_once("://")) else { return false };
    let safe = config.public_url.as_ref().is_none_or(|url| url.scheme() != "https") || scheme == "https";
    safe && text(header::HOST).is_some_and(|host| origin.eq_ignore_ascii_case(host))
}

fn cross_origin() -> Problem {
    Problem::new(Kind::Forbidden, "a request with a cookie must come from the dashboard's own origin")
}
