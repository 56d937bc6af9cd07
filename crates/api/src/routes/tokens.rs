//! API tokens: made by people who logged in, shown once, stored hashed.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use berth_core::Invalid;
use berth_core::access::ManageTokens;
use berth_core::id::{TokenId, UserId};
use berth_core::name::ContainerName;
use berth_core::scope::Scopes;
use berth_store::{ApiToken, NewApiToken};
use berth_wire::{Done, NewToken, Token, TokenCreated, Tokens};
use chrono::Utc;
use secrecy::ExposeSecret;

use crate::auth::{Caller, credential};
use crate::body::Body;
use crate::error::Problem;
use crate::state::Api;

/// Your live tokens, newest first, without their secrets.
#[utoipa::path(get, path = "/auth/tokens", tag = "auth", operation_id = "list_tokens", responses((status = 200, body = Tokens), (status = 403, body = berth_wire::Problem)))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<Tokens>, Problem> {
    let tokens = api.store.api_tokens(&caller.actor.may_account::<ManageTokens>()?).await?;
    Ok(Json(Tokens { tokens: tokens.into_iter().map(view).collect() }))
}

/// Creates a token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/auth/tokens", tag = "auth", operation_id = "create_token", request_body = NewToken,
    responses((status = 201, body = TokenCreated), (status = 409, body = berth_wire::Problem), (status = 422, body = berth_wire::Problem)))]
pub(crate) async fn create(State(api): State<Api>, caller: Caller, body: Body<NewToken>) -> Result<Response, Problem> {
    let grant = caller.actor.may_account::<ManageTokens>()?;
    let now = Utc::now();
    let NewToken { name, scopes, expires_at } = body.value;
    if expires_at.is_some_and(|at| at <= now) {
        return Err(Invalid::new("expires_at", "a token expires in the future, or never when this is left out").into());
    }
    let secret = credential::generate();
    let new = NewApiToken {
        name: ContainerName::parse(&name)?.to_string(),
        hash: credential::hash(secret.expose_secret()),
        scopes: scopes.map(|map| own_scopes(&map, caller.actor.user().id)).transpose()?,
        created_at: now,
        expires_at,
    };
    let token = api.store.add_api_token(&grant, &new).await?;
    let created = TokenCreated { secret: secret.expose_secret().to_owned(), token: view(token) };
    Ok((StatusCode::CREATED, Json(created)).into_response())
}

/// Revokes a token: it is refused from now on, and sockets that it opened are closed.
#[utoipa::path(delete, path = "/auth/tokens/{token_id}", tag = "auth", operation_id = "revoke_token", params(("token_id" = i64, Path)),
    responses((status = 200, body = Done), (status = 404, body = berth_wire::Problem)))]
pub(crate) async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Path(token_id): Path<String>,
) -> Result<Json<Done>, Problem> {
    let grant = caller.actor.may_account::<ManageTokens>()?;
    let id: TokenId = token_id.parse().map_err(|_| Problem::not_found())?;
    api.store.revoke_api_token(&grant, id, Utc::now()).await?;
    Ok(Json(Done::OK))
}

/// Scopes over anybody else's account would grant nothing: refused rather than silently useless.
fn own_scopes(map: &BTreeMap<String, Vec<String>>, owner: UserId) -> Result<Scopes, Invalid> {
    let scopes =
        Scopes::parse(map.iter().map(|(resource, verbs)| (resource.as_str(), verbs.iter().map(String::as_str))))?;
    if scopes.owners().iter().all(|other| *other == owner) {
        Ok(scopes)
    } else {
        Err(Invalid::new("scopes", format!("your own scopes start with compute.{owner}")))
    }
}

fn view(token: ApiToken) -> Token {
    let words = |verb: &berth_core::scope::Verb| format!("{verb:?}").to_lowercase();
    let map = |scopes: Scopes| {
        scopes.to_map().iter().map(|(part, verbs)| (part.clone(), verbs.iter().map(words).collect())).collect()
    };
    Token {
        id: token.id.0,
        name: token.name,
        scopes: token.scopes.map(map),
        created_at: token.created_at,
        expires_at: token.expires_at,
    }
}
