//! Logging in at an OIDC issuer: a browser is sent there, and comes back with a code.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use berth_core::audit::{Action, By};
use berth_core::return_to::ReturnTo;
use berth_store::{Audit, Error as StoreError};
use berth_wire::{LoginMethods, OidcMethod};
use url::form_urlencoded;

use crate::auth::oidc::{self, Attempt, Failed, Oidc};
use crate::auth::{address_of, origin};
use crate::error::{Kind, Problem};
use crate::page;
use crate::routes::auth::open_session;
use crate::state::Api;

const LOGIN: &str = "/auth/oidc/login";

/// The ways to log in here.
#[utoipa::path(get, path = "/auth/methods", tag = "auth", operation_id = "list_login_methods", security(()), responses((status = 200, body = LoginMethods)))]
pub(crate) async fn methods(State(api): State<Api>) -> Json<LoginMethods> {
    let oidc = api.oidc.as_ref();
    let oidc = oidc.map(|oidc| OidcMethod { issuer: oidc.config.issuer.clone(), login_url: LOGIN.to_owned() });
    Json(LoginMethods { password: true, oidc })
}

/// Sends a browser to the issuer; it comes back logged in, to `return_to`.
#[utoipa::path(get, path = "/auth/oidc/login", tag = "auth", operation_id = "start_oidc_login", security(()),
    params(("return_to" = Option<String>, Query, description = "a path of this host")),
    responses((status = 302), (status = 404, body = berth_wire::Problem), (status = 422, body = berth_wire::Problem),
        (status = 503, body = berth_wire::Problem)))]
pub(crate) async fn login(State(api): State<Api>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let begun = async {
        let oidc = configured(&api)?;
        let given = parameter(query.as_deref(), "return_to");
        let attempt = Attempt::new(given.map_or_else(|| Ok(ReturnTo::default()), |path| ReturnTo::parse(&path))?);
        let url = oidc.login_url(&attempt).await?;
        Ok(redirect(url.as_str(), [attempt.cookie()]))
    };
    begun.await.unwrap_or_else(|problem| page::problem(problem, &headers))
}

/// Where the issuer sends a browser back to.
#[utoipa::path(get, path = "/auth/oidc/callback", tag = "auth", operation_id = "finish_oidc_login", security(()),
    params(("code" = Option<String>, Query), ("state" = Option<String>, Query), ("error" = Option<String>, Query),
        ("iss" = Option<String>, Query)),
    responses((status = 302), (status = 400, body = berth_wire::Problem), (status = 401, body = berth_wire::Problem),
        (status = 403, body = berth_wire::Problem), (status = 503, body = berth_wire::Problem)))]
pub(crate) async fn callback(
    State(api): State<Api>,
    extensions: Extensions,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let from = address_of(&extensions, &headers, &api.config.trusted_proxies);
    let finished = async {
        if !api.login_limit.admit_address(from) {
            return Err(Problem::new(Kind::TooManyRequests, "too many login attempts; wait a minute"));
        }
        let oidc = configured(&api)?;
        let attempt = begun_here(&headers, query.as_deref())?;
        let session = finish(&api, oidc, &attempt, query.as_deref(), from).await?;
        Ok(redirect(attempt.return_to.as_str(), [session, oidc::no_cookie()]))
    };
    match finished.await {
        Ok(response) => response,
        Err(problem) => {
            let mut response = page::problem(problem, &headers);
            if let Ok(gone) = oidc::no_cookie().to_string().parse() {
                response.headers_mut().append(header::SET_COOKIE, gone);
            }
            response
        }
    }
}

/// The attempt that this browser began. Anybody can send a browser here with a code of their own: only its cookie shows
/// that it asked for it.
fn begun_here(headers: &HeaderMap, query: Option<&str>) -> Result<Attempt, Problem> {
    let cookie = CookieJar::from_headers(headers).get(oidc::COOKIE).map(|cookie| cookie.value().to_owned());
    let attempt = cookie.and_then(|value| Attempt::from_cookie(&value));
    let attempt = attempt.filter(|attempt| parameter(query, "state").is_some_and(|state| attempt.has_state(&state)));
    attempt.ok_or_else(|| {
        Problem::new(Kind::Malformed, "this login was not begun in this browser, or too long ago; log in again")
    })
}

async fn finish(
    api: &Api,
    oidc: &Oidc,
    attempt: &Attempt,
    query: Option<&str>,
    from: Option<std::net::IpAddr>,
) -> Result<Cookie<'static>, Problem> {
    let origin = origin(from);
    let refused = async |username, reason: String| {
        let line = Audit::refused(&origin, Action::Login, username, Some(oidc.config.issuer.clone()));
        api.store.audit(&line).await?;
        Err(Problem::new(Kind::Unauthenticated, format!("you are not logged in: {reason}")))
    };
    if parameter(query, "iss").is_some_and(|iss| !oidc.is(&iss)) {
        return refused(None, "the answer comes from another issuer".to_owned()).await;
    }
    if let Some(error) = parameter(query, "error") {
        let word = error.len() <= 64 && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let error = if word { error } else { "an error".to_owned() };
        return refused(None, format!("the issuer said {error}")).await;
    }
    let Some(code) = parameter(query, "code") else {
        return Err(Problem::new(Kind::Malformed, "the issuer sent no code; log in again"));
    };
    let person = match oidc.finish(attempt, code, origin.at).await {
        Ok(person) => person,
        Err(Failed::Down(problem)) => return Err(problem),
        Err(Failed::Refused(reason)) => return refused(None, reason).await,
    };
    match oidc::provision(api, &person, Some(person.is_admin), &origin).await {
        Ok(user) => Ok(open_session(api, By { user, origin }).await?.0),
        Err(StoreError::Suspended) => {
            let line = Audit::refused(&origin, Action::Login, Some(person.username), Some(oidc.config.issuer.clone()));
            api.store.audit(&line).await?;
            Err(StoreError::Suspended.into())
        }
        Err(error) => Err(error.into()),
    }
}

fn configured(api: &Api) -> Result<&Oidc, Problem> {
    api.oidc
        .as_ref()
        .ok_or_else(|| Problem::new(Kind::NotFound, "no OIDC issuer is configured here; log in with a password"))
}

fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A redirect that nothing on the way keeps: it sets cookies.
fn redirect<const N: usize>(to: &str, cookies: [Cookie<'static>; N]) -> Response {
    let headers = [(header::LOCATION, to.to_owned()), (header::CACHE_CONTROL, "no-store".to_owned())];
    let mut response = (StatusCode::FOUND, headers).into_response();
    for cookie in cookies {
        if let Ok(cookie) = cookie.to_string().parse() {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}
