//! Who a caller is, as far as decisions need to know.

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::name::Username;

/// Numbers of users below this one belong to the issuer of HS256 tokens, whose claims name them; ours begin here.
pub const FIRST_OWN_ID: i64 = 1_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub username: Username,
    pub is_admin: bool,
    pub source: Source,
}

impl User {
    /// Whether the user is an administrator, given the name that the configuration makes one.
    ///
    /// Names are unique among our rows, so one account at most holds the configured one. Local accounts are named by the
    /// operator, and users of HS256 tokens by the installation's own service, which holds the shared secret and could
    /// claim any number as well. Users of an OIDC issuer choose their names: theirs never counts.
    pub fn is_admin_under(&self, configured: Option<&Username>) -> bool {
        let named = configured == Some(&self.username);
        self.is_admin
            || match self.source {
                Source::Local | Source::Jwt => named,
                Source::Oidc => false,
            }
    }
}

/// Who vouches for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// An account of our own, with a password.
    Local,
    /// Tokens signed with the installation's shared secret.
    Jwt,
    /// An OIDC issuer.
    Oidc,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Jwt => "jwt",
            Self::Oidc => "oidc",
        }
    }

    /// Reads the subject of a row: none, `jwt:<number>` or `oidc:<issuer>#<sub>`.
    pub fn of_subject(subject: Option<&str>) -> Option<Self> {
        match subject.map(|subject| subject.split_once(':')) {
            None => Some(Self::Local),
            Some(Some(("jwt", _))) => Some(Self::Jwt),
            Some(Some(("oidc", _))) => Some(Self::Oidc),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_name_makes_an_administrator_of_those_who_did_not_choose_it() {
        let name = |text| Username::parse(text).unwrap();
        let table = [
            (Source::Local, "root", false, true),
            (Source::Jwt, "root", false, true),
            (Source::Oidc, "root", false, false),
            (Source::Oidc, "root", true, true),
            (Source::Local, "ann", false, false),
            (Source::Local, "ann", true, true),
        ];
        for (source, username, is_admin, expected) in table {
            let user = User { id: UserId(7), username: name(username), is_admin, source };
            assert_eq!(user.is_admin_under(Some(&name("root"))), expected, "{user:?}");
            assert_eq!(user.is_admin_under(None), is_admin, "{user:?}");
        }
    }

    #[test]
    fn subjects_say_who_vouches() {
        for (subject, source) in [
            (None, Some(Source::Local)),
            (Some("jwt:7"), Some(Source::Jwt)),
            (Some("oidc:https://issuer.example#7"), Some(Source::Oidc)),
            (Some("saml:7"), None),
            (Some(""), None),
        ] {
            assert_eq!(Source::of_subject(subject), source, "{subject:?}");
        }
    }
}
