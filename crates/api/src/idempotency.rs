//! Repeated requests: the same `Idempotency-Key` with the same request gives the first answer.

use axum::http::HeaderMap;
use berth_core::Invalid;
use berth_store::IdempotencyKey;

use crate::auth::credential;
use crate::error::Problem;

/// The key of a request to make something at `path`. The path belongs to what must be the same.
///
/// # Errors
/// 422 for a header that is no key.
pub(crate) fn key(headers: &HeaderMap, path: &str, body: &[u8]) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    let key =
        key.ok_or_else(|| Invalid::new("Idempotency-Key", "an Idempotency-Key is 1 to 255 visible ASCII characters"))?;
    let request = credential::hash(&format!("{path}\n{}", String::from_utf8_lossy(body)));
    Ok(Some(IdempotencyKey { key: key.to_owned(), request }))
}
