//! Lines of the audit log. It is appended to and read, and the database itself refuses anything else.

use berth_core::audit::{Action, By, Origin, Outcome};
use berth_core::id::UserId;
use berth_core::name::Username;
use chrono::{DateTime, Utc};

/// A line to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    pub at: DateTime<Utc>,
    /// None where nobody is known: a failed login, an operator beside the database.
    pub user: Option<UserId>,
    /// The user's name, or the one that was claimed.
    pub username: Option<Username>,
    pub action: Action,
    /// What it was done to: an id, or the path of a call that was denied.
    pub target: Option<String>,
    /// The caller's address.
    pub from: Option<String>,
    pub outcome: Outcome,
    pub request_id: Option<String>,
}

impl Audit {
    /// A known user did it.
    pub fn done(by: &By, action: Action, target: Option<String>) -> Self {
        Self {
            user: Some(by.user.id),
            username: Some(by.user.username.clone()),
            ..Self::at(&by.origin, action, target)
        }
    }

    /// A known user was refused.
    pub fn denied(by: &By, action: Action, target: Option<String>) -> Self {
        Self { outcome: Outcome::Denied, ..Self::done(by, action, target) }
    }

    /// Somebody who is not known here, who may have claimed a name, was refused.
    pub fn refused(origin: &Origin, action: Action, username: Option<Username>, target: Option<String>) -> Self {
        Self { outcome: Outcome::Denied, username, ..Self::at(origin, action, target) }
    }

    /// An operator did it beside the database, where no caller is authenticated.
    pub fn operator(at: DateTime<Utc>, action: Action, target: Option<String>) -> Self {
        Self::at(&Origin::local(at), action, target)
    }

    fn at(origin: &Origin, action: Action, target: Option<String>) -> Self {
        Self {
            at: origin.at,
            user: None,
            username: None,
            action,
            target,
            from: origin.address.map(|address| address.to_string()),
            outcome: Outcome::Ok,
            request_id: origin.request_id.clone(),
        }
    }
}

/// A line as it is read. Words stay as they were written, whatever this version knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Grows with every line.
    pub id: i64,
    pub at: DateTime<Utc>,
    pub user: Option<UserId>,
    pub username: Option<String>,
    pub action: String,
    pub target: Option<String>,
    pub from: Option<String>,
    pub outcome: String,
    pub request_id: Option<String>,
    /// Of a connection: its key, duration and bytes.
    pub detail: Option<serde_json::Value>,
}

/// Which lines; all of the conditions hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only lines older than this one.
    pub before: Option<i64>,
    /// An id or a name.
    pub user: Option<String>,
    pub action: Option<Action>,
    pub target: Option<String>,
    pub since: Option<DateTime<Utc>>,
    /// Exclusive.
    pub until: Option<DateTime<Utc>>,
}
