//! Logging in and out.

use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, SameSite};
use berth_core::audit::{Action, By};
use berth_core::name::Username;
use berth_store::{Audit, Error as StoreError, Session};
use berth_wire::{Done, LoggedIn, Login, Me};
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

use crate::auth::{COOKIE, Caller, address_of, credential, origin, password, same_origin};
use crate::body::Body;
use crate::error::{Kind, Problem};
use crate::state::Api;

/// Opens a session. Wrong name and wrong password look alike.
#[utoipa::path(post, path = "/auth/login", tag = "auth", operation_id = "log_in", request_body = Login, security(()),
    responses((status = 200, body = LoggedIn), (status = 401, body = berth_wire::Problem), (status = 429, body = berth_wire::Problem)))]
pub(crate) async fn login(
    State(api): State<Api>,
    extensions: Extensions,
    headers: HeaderMap,
    body: Body<Login>,
) -> Result<Response, Problem> {
    let Login { username, password } = body.value;
    let from = address_of(&extensions, &headers, &api.config.trusted_proxies);
    // A page of another site must not log a visitor into an account of its choosing.
    if headers.contains_key(header::ORIGIN) && !same_origin(&headers, &api.config) {
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
    let Some(account) = account.filter(|_| right) else {
        api.store.audit(&Audit::refused(&origin(from), Action::Login, name, None)).await?;
        return Err(Problem::new(Kind::Unauthenticated, "the username or the password is wrong"));
    };
    let (cookie, session) = open_session(&api, By { user: account.user, origin: origin(from) }).await?;
    Ok(([(header::SET_COOKIE, cookie.to_string())], Json(session)).into_response())
}

/// A new session of somebody who proved who they are, always with a new secret. A suspended user gets none, and a line.
pub(crate) async fn open_session(api: &Api, by: By) -> Result<(Cookie<'static>, LoggedIn), Problem> {
    let secret = credential::session();
    let expires_at = by.origin.at + TimeDelta::hours(i64::from(api.config.session_hours));
    let hash = credential::hash(secret.expose_secret());
    let session = Session { hash, user: by.user.id, created_at: by.origin.at, expires_at };
    match api.store.add_session(&by, &session).await {
        Ok(()) => {}
        Err(StoreError::Suspended) => {
            api.store.audit(&Audit::denied(&by, Action::Login, None)).await?;
            return Err(StoreError::Suspended.into());
        }
        Err(error) => return Err(error.into()),
    }
    let is_admin = by.user.is_admin_under(api.config.admin_username.as_ref());
    let user = Me { user_id: by.user.id.0, username: by.user.username.to_string(), is_admin };
    let token = secret.expose_secret().to_owned();
    Ok((session_cookie(token.clone()), LoggedIn { token, expires_at, user }))
}

/// Ends the session that made this call.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", operation_id = "log_out", responses((status = 200, body = Done)))]
pub(crate) async fn logout(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    api.store.end_session(caller.actor.by(), &credential::hash(caller.secret.expose_secret())).await?;
    let mut gone = session_cookie(String::new());
    gone.make_removal();
    Ok(([(header::SET_COOKIE, gone.to_string())], Json(Done::OK)).into_response())
}

/// Who you are.
#[utoipa::path(get, path = "/auth/me", tag = "auth", operation_id = "get_me", responses((status = 200, body = Me)))]
pub(crate) async fn me(caller: Caller) -> Json<Me> {
    let user = caller.actor.user();
    Json(Me { user_id: user.id.0, username: user.username.to_string(), is_admin: user.is_admin })
}

fn session_cookie(value: String) -> Cookie<'static> {
    Cookie::build((COOKIE, value)).path("/").secure(true).http_only(true).same_site(SameSite::Lax).build()
}
