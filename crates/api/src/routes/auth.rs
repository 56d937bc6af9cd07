//! Logging in and out.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::{Extensions, HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, SameSite};
use berth_core::name::Username;
use berth_store::{Audit, Session};
use berth_wire::{Done, LoggedIn, Login, Me};
use chrono::{TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::auth::{COOKIE, Caller, credential, password, same_origin};
use crate::body::Body;
use crate::error::{Kind, Problem};
use crate::request_id;
use crate::state::Api;

/// Opens a session. Wrong name and wrong password look alike.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = Login, security(()),
    responses((status = 200, body = LoggedIn), (status = 401, body = berth_wire::Problem), (status = 429, body = berth_wire::Problem)))]
pub(crate) async fn login(
    State(api): State<Api>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Body<Login>,
) -> Result<Response, Problem> {
    let Login { username, password } = body.value;
    let from = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    // A page of another site must not log a visitor into an account of its choosing.
    if headers.contains_key(header::ORIGIN) && !same_origin(&headers) {
        return Err(Problem::new(Kind::Forbidden, "logins come from the dashboard's own origin"));
    }
    if !api.login_limit.admit(&username, from) {
        return Err(Problem::new(Kind::TooManyRequests, "too many login attempts; wait a minute"));
    }
    let name = Username::parse(&username).ok();
    let account = match &name {
        Some(name) => api.store.local_account(name).await?,
        None => None,
    };
    let hash = account.as_ref().map(|account| account.password_hash.clone());
    let right =
        password::verify(SecretString::from(password), hash).await.map_err(|error| Problem::internal(&error))?;
    let now = Utc::now();
    let user = account.filter(|_| right).map(|account| account.user);
    let entry = Audit {
        at: now,
        user: user.as_ref().map(|user| user.id),
        username: name,
        action: "auth.login",
        target: None,
        from: from.map(|address| address.to_string()),
        outcome: if user.is_some() { "ok" } else { "denied" },
        request_id: request_id::current(),
    };
    api.store.audit(&entry).await?;
    let user = user.ok_or_else(|| Problem::new(Kind::Unauthenticated, "the username or the password is wrong"))?;

    let secret = credential::session();
    let expires_at = now + TimeDelta::hours(i64::from(api.config.session_hours));
    let hash = credential::hash(secret.expose_secret());
    api.store.add_session(&Session { hash, user: user.id, created_at: now, expires_at }).await?;
    let is_admin = user.is_admin || api.config.admin_username.as_ref() == Some(&user.username);
    let user = Me { user_id: user.id.0, username: user.username.to_string(), is_admin };
    let token = secret.expose_secret().to_owned();
    let cookie = [(header::SET_COOKIE, session_cookie(token.clone()).to_string())];
    Ok((cookie, Json(LoggedIn { token, expires_at, user })).into_response())
}

/// Ends the session that made this call.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", responses((status = 200, body = Done)))]
pub(crate) async fn logout(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    api.store.end_session(&credential::hash(caller.secret.expose_secret())).await?;
    let mut gone = session_cookie(String::new());
    gone.make_removal();
    Ok(([(header::SET_COOKIE, gone.to_string())], Json(Done::OK)).into_response())
}

/// Who you are.
#[utoipa::path(get, path = "/auth/me", tag = "auth", responses((status = 200, body = Me)))]
pub(crate) async fn me(caller: Caller) -> Json<Me> {
    let user = caller.actor.user();
    Json(Me { user_id: user.id.0, username: user.username.to_string(), is_admin: user.is_admin })
}

fn session_cookie(value: String) -> Cookie<'static> {
    Cookie::build((COOKIE, value)).path("/").secure(true).http_only(true).same_site(SameSite::Lax).build()
}
