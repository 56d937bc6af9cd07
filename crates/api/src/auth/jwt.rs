//! Tokens of the installation's other services: HS256 with the shared `JWT_SECRET`. The algorithm is pinned.

use std::collections::BTreeMap;

use berth_core::access::Reach;
use berth_core::audit::Origin;
use berth_core::id::UserId;
use berth_core::name::Username;
use berth_core::scope::Scopes;
use berth_core::user::{FIRST_OWN_ID, User};
use berth_store::OutsideUser;
use chrono::{DateTime, TimeZone, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::error::{Kind, Problem};
use crate::state::Api;

#[derive(Deserialize)]
struct Claims {
    user_id: i64,
    username: String,
    exp: i64,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    scopes: Option<ScopesClaim>,
}

/// `{"compute.7.keys": ["read"]}`, or `["compute.7.keys:read"]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum ScopesClaim {
    Map(BTreeMap<String, Vec<String>>),
    List(Vec<String>),
}

pub(crate) async fn user(
    api: &Api,
    token: &str,
    origin: &Origin,
) -> Result<(User, Reach, Option<DateTime<Utc>>), Problem> {
    let secret = api.config.jwt_secret.as_ref().ok_or_else(Problem::unauthenticated)?;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    validation.validate_nbf = true;
    let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
    let claims = decode::<Claims>(token, &key, &validation).map_err(|_| Problem::unauthenticated())?.claims;
    let reach = reach(&claims)?;
    let expires_at = Utc.timestamp_opt(claims.exp, 0).single().ok_or_else(Problem::unauthenticated)?;
    if !(1..FIRST_OWN_ID).contains(&claims.user_id) {
        let detail = format!("the user_id of a signed token is 1 to {}; larger ones are made here", FIRST_OWN_ID - 1);
        return Err(Problem::new(Kind::Unauthenticated, detail));
    }
    let (subject, id) = (format!("jwt:{}", claims.user_id), Some(UserId(claims.user_id)));
    let username = Username::from_claim(&claims.username);
    let seen = OutsideUser { subject: &subject, id, username: &username, is_admin: None };
    let user = api.store.provision_user(seen, origin).await?;
    Ok((user, reach, Some(expires_at)))
}

/// A person's token reaches as far as a login; a service account's as far as its scopes, none without them.
fn reach(claims: &Claims) -> Result<Reach, Problem> {
    let service = match claims.kind.as_deref() {
        None => false,
        Some("api_token") => true,
        // Such as a refresh token, which is signed with the same key and no key to this door.
        Some(_) => return Err(Problem::unauthenticated()),
    };
    let parsed = match &claims.scopes {
        None if service => Scopes::default(),
        None => return Ok(Reach::Login),
        Some(ScopesClaim::Map(map)) => {
            let entries = map.iter().map(|(resource, verbs)| (resource.as_str(), verbs.iter().map(String::as_str)));
            Scopes::parse(entries).map_err(|_| Problem::unauthenticated())?
        }
        Some(ScopesClaim::List(list)) => {
            let entries =
                list.iter().filter_map(|entry| entry.split_once(':')).map(|(resource, verb)| (resource, [verb]));
            Scopes::parse(entries).map_err(|_| Problem::unauthenticated())?
        }
    };
    Ok(Reach::Scoped(parsed))
}
