//! Who calls. Five kinds of credentials become one [`Caller`]: sessions, API tokens, HS256 tokens, tokens of an OIDC issuer,
//! and the session in a browser's cookie. Nothing else in this crate reads a credential.

mod address;
mod admin;
pub mod credential;
mod extractor;
mod jwt;
pub(crate) mod login_limit;
pub(crate) mod oidc;
pub mod password;

use std::net::IpAddr;

use berth_core::access::{Actor, Reach};
use berth_core::audit::Origin;
use berth_core::user::User;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::error::Problem;
use crate::request_id;
use crate::state::Api;

pub(crate) use address::of_request as address_of;
pub(crate) use admin::Admin;
pub(crate) use extractor::{COOKIE, SocketCaller, same_origin};

/// An authenticated request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    /// What was presented, to check again later on open sockets.
    pub(crate) secret: SecretString,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) from: Option<IpAddr>,
}

/// # Errors
/// 401 for anything that is not valid now, 403 for a suspended user, 503 when the database does not answer.
pub(crate) async fn authenticate(api: &Api, secret: SecretString, from: Option<IpAddr>) -> Result<Caller, Problem> {
    let origin = origin(from);
    let now = origin.at;
    let text = secret.expose_secret();
    let (user, reach, expires_at) = if text.starts_with(credential::SESSION) {
        let found = api.store.session(&credential::hash(text), now).await?;
        let (user, session) = found.ok_or_else(Problem::unauthenticated)?;
        (user, Reach::Login, Some(session.expires_at))
    } else if text.starts_with(credential::TOKEN) {
        let found = api.store.credential(&credential::hash(text)).await?.ok_or_else(Problem::unauthenticated)?;
        let expired = found.token.expires_at.is_some_and(|at| at <= now);
        if expired || found.token.revoked_at.is_some() {
            return Err(Problem::unauthenticated());
        }
        (found.user, found.token.scopes.map_or(Reach::Token, Reach::Scoped), found.token.expires_at)
    } else if let Some(oidc) = api.oidc.as_ref().filter(|oidc| oidc.claims_to_be_ours(text)) {
        oidc::user(api, oidc, text, &origin).await?
    } else {
        jwt::user(api, text, &origin).await?
    };
    let is_admin = user.is_admin_under(api.config.admin_username.as_ref());
    let actor = Actor::authenticated(User { is_admin, ..user }, reach, origin);
    Ok(Caller { actor, secret, expires_at, from })
}

/// For the audit log: the request that this task answers, now.
pub(crate) fn origin(address: Option<IpAddr>) -> Origin {
    Origin { at: Utc::now(), address, request_id: request_id::current() }
}
