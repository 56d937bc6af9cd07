//! The audit log: who changed what, and who was refused.

use axum::Json;
use axum::extract::{RawQuery, State};
use berth_core::Invalid;
use berth_store::{AuditFilter, AuditLine};
use berth_wire::{AuditEntry, AuditPage};
use chrono::{DateTime, Utc};

use crate::auth::Admin;
use crate::error::{Kind, Problem};
use crate::state::Api;

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 500;
/// Names and ids are shorter; paths of calls too.
const MAX_TEXT: usize = 255;

/// The audit log, newest first. `cursor` is the `next_cursor` of the page before.
#[utoipa::path(get, path = "/compute/admin/audit", tag = "admin", operation_id = "list_audit_log",
    params(("limit" = Option<u32>, Query, description = "1 to 500, 100 when left out"),
        ("cursor" = Option<String>, Query),
        ("user" = Option<String>, Query, description = "an id or a username"),
        ("action" = Option<String>, Query, example = "container.stop"),
        ("target" = Option<String>, Query, description = "an id"),
        ("since" = Option<DateTime<Utc>>, Query, description = "at or after"),
        ("until" = Option<DateTime<Utc>>, Query, description = "before")),
    responses((status = 200, body = AuditPage), (status = 403, body = berth_wire::Problem), (status = 422, body = berth_wire::Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Admin(grant): Admin,
    RawQuery(query): RawQuery,
) -> Result<Json<AuditPage>, Problem> {
    let (filter, limit) = parse(query.as_deref().unwrap_or_default())?;
    // One more than is shown tells whether there is a next page.
    let mut lines = api.store.audit_lines(&grant, &filter, limit + 1).await?;
    let more = lines.len() > limit as usize;
    lines.truncate(limit as usize);
    let next_cursor = lines.last().filter(|_| more).map(|line| cursor(line.id));
    Ok(Json(AuditPage { entries: lines.into_iter().map(view).collect(), next_cursor }))
}

fn parse(query: &str) -> Result<(AuditFilter, u32), Problem> {
    let mut filter = AuditFilter::default();
    let mut limit = None;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let given_twice = match &*name {
            "limit" => limit.replace(parse_limit(&value)?).is_some(),
            "cursor" => filter.before.replace(parse_cursor(&value)?).is_some(),
            "user" => filter.user.replace(text("user", &value)?).is_some(),
            "action" => filter.action.replace(value.parse()?).is_some(),
            "target" => filter.target.replace(text("target", &value)?).is_some(),
            "since" => filter.since.replace(time("since", &value)?).is_some(),
            "until" => filter.until.replace(time("until", &value)?).is_some(),
            unknown => {
                let field: String = unknown.chars().take(64).collect();
                return Err(Problem::new(Kind::Invalid, "there is no such parameter").field(field));
            }
        };
        if given_twice {
            return Err(Problem::new(Kind::Invalid, "give this once").field(name));
        }
    }
    if filter.since.zip(filter.until).is_some_and(|(since, until)| until < since) {
        return Err(Invalid::new("until", "until is not before since").into());
    }
    Ok((filter, limit.unwrap_or(DEFAULT_LIMIT)))
}

fn parse_limit(value: &str) -> Result<u32, Invalid> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| Invalid::new("limit", format!("a limit is 1 to {MAX_LIMIT}")))
}

/// Sixteen digits that mean nothing to a client.
fn cursor(id: i64) -> String {
    format!("{id:016x}")
}

fn parse_cursor(value: &str) -> Result<i64, Invalid> {
    let shape = value.len() == 16 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = Some(value).filter(|_| shape).and_then(|value| i64::from_str_radix(value, 16).ok());
    id.ok_or_else(|| Invalid::new("cursor", "a cursor is the next_cursor of the page before"))
}

fn text(field: &'static str, value: &str) -> Result<String, Invalid> {
    let fits = (1..=MAX_TEXT).contains(&value.len()) && !value.contains('\0');
    fits.then(|| value.to_owned()).ok_or_else(|| Invalid::new(field, format!("give 1 to {MAX_TEXT} bytes of text")))
}

fn time(field: &'static str, value: &str) -> Result<DateTime<Utc>, Invalid> {
    let time = DateTime::parse_from_rfc3339(value).map(|time| time.to_utc());
    time.map_err(|_| Invalid::new(field, "a time is written as 2026-01-15T10:30:00Z"))
}

fn view(line: AuditLine) -> AuditEntry {
    let AuditLine { id, at, user, username, action, target, from, outcome, request_id, detail } = line;
    AuditEntry { id, at, user_id: user.map(|user| user.0), username, action, target, from, outcome, request_id, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back() {
        for id in [1, 255, i64::MAX] {
            assert_eq!(parse_cursor(&cursor(id)), Ok(id));
        }
        for bad in ["", "1", "ffffffffffffffff", "+00000000000001f", "000000000000000g", "00000000000000001"] {
            assert!(parse_cursor(bad).is_err(), "{bad}");
        }
    }
}
