//! Calls that only administrators may make. A call that is denied is recorded: it is how somebody looks for a door.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use berth_core::access::{AccountGrant, Administer};
use berth_core::audit::Action;
use berth_store::Audit;

use super::Caller;
use crate::error::{Kind, Problem};
use crate::state::Api;

/// An administrator's request.
#[derive(Debug)]
pub(crate) struct Admin(pub(crate) AccountGrant<Administer>);

impl FromRequestParts<Api> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, api).await?;
        let denied = match caller.actor.may_account::<Administer>() {
            Ok(grant) => return Ok(Self(grant)),
            Err(denied) => denied,
        };
        // Each refusal is a line; a caller that only wants to fill the log is not given them without end.
        let by = caller.actor.by();
        if !api.denied_limit.admit(by.user.id) {
            return Err(Problem::new(Kind::TooManyRequests, "too many calls that were denied; wait a minute"));
        }
        let path = parts.extensions.get::<MatchedPath>().map_or(parts.uri.path(), MatchedPath::as_str);
        let target = format!("{} {path}", parts.method);
        api.store.audit(&Audit::denied(by, Action::AdminCall, Some(target))).await?;
        Err(denied.into())
    }
}
