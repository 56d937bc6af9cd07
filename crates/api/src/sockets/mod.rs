//! WebSockets: bounded, pinged, and closed when their credential ends.

pub(crate) mod events;
pub(crate) mod lifeline;
pub(crate) mod logs;
mod plain_logs;
pub(crate) mod terminal;

use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::header;
use axum::http::request::Parts;

use crate::auth::{Caller, SocketCaller};
use crate::error::{Kind, Problem};
use crate::state::Api;

/// A request to a path that can be a WebSocket. `?token=` is read of those that are, and of no others.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) caller: Caller,
    pub(crate) upgrade: Option<WebSocketUpgrade>,
}

impl FromRequestParts<Api> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let asked = parts.headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
        if !asked.is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
            return Ok(Self { caller: Caller::from_request_parts(parts, api).await?, upgrade: None });
        }
        let SocketCaller(caller) = SocketCaller::from_request_parts(parts, api).await?;
        let upgrade = WebSocketUpgrade::from_request_parts(parts, api).await;
        let upgrade = upgrade.map_err(|rejection| Problem::new(Kind::Malformed, rejection.body_text()))?;
        Ok(Self { caller, upgrade: Some(upgrade) })
    }
}

fn pairs(query: Option<&str>) -> url::form_urlencoded::Parse<'_> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
}
