//! Names that people choose: of containers and of accounts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// What a user calls a container: 1–63 printable characters, no leading or trailing space.
///
/// It is shown and stored, and never becomes part of an object's name, a label, a path or a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerName(String);

impl ContainerName {
    pub const MAX_CHARS: usize = 63;

    /// # Errors
    /// [`Invalid`] with field `name`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let printable = |c: char| !c.is_control() && !is_invisible(c);
        // The byte length bounds the work before any character is looked at.
        let fits = text.len() <= Self::MAX_CHARS * 4 && (1..=Self::MAX_CHARS).contains(&text.chars().count());
        if fits && text.trim() == text && text.chars().all(printable) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("name", "a name is 1 to 63 printable characters without spaces at its ends"))
        }
    }

    /// For rows that were parsed when they were written.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an account: 1–63 of `a-z 0-9 . _ @ -`, starting with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Username(String);

impl Username {
    /// # Errors
    /// [`Invalid`] with field `username`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._@-".contains(&b);
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if first && text.len() <= 63 && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new(
                "username",
                "a username is 1 to 63 of a-z, 0-9, '.', '_', '@' and '-', starting with a letter or a digit",
            ))
        }
    }

    /// Makes a name of ours of what an outside issuer calls somebody: lower-case, with `-` for what we do not have, and short
    /// enough for a suffix. Two people may come out alike: a name is a label, and only the subject identifies.
    pub fn from_claim(text: &str) -> Self {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._@-".contains(c);
        let lower = text.chars().take(Self::MAX_CLAIM).flat_map(char::to_lowercase);
        let mapped: String = lower.map(|c| if allowed(c) { c } else { '-' }).collect();
        let begun = mapped.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let name: String = begun.chars().take(Self::MAX_CLAIM).collect();
        let name = name.trim_end_matches('-');
        Self(if name.is_empty() { "user".to_owned() } else { name.to_owned() })
    }

    /// Leaves room for a suffix such as `-999`.
    const MAX_CLAIM: usize = 59;

    /// For rows that were parsed when they were written.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Zero-width and direction-changing characters: they make two names look alike or a line read backwards.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_names() {
        for good in ["a", "my-app", "My App ✓", "数据库", &"x".repeat(63)] {
            assert!(ContainerName::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", " a", "a ", "a\nb", "a\u{202E}b", "\u{200B}", &"x".repeat(64), &"x".repeat(1 << 20)] {
            assert!(ContainerName::parse(bad).is_err(), "{:?}", bad.get(..20));
        }
    }

    #[test]
    fn what_an_issuer_calls_somebody_becomes_a_name_of_ours() {
        let long = "x".repeat(1 << 20);
        for (claim, name) in [
            ("ann", "ann"),
            ("Ann.B@Example.com", "ann.b@example.com"),
            ("Jörg Müller", "j-rg-m-ller"),
            ("auth0|5f7c", "auth0-5f7c"),
            ("../../etc/passwd", "etc-passwd"),
            ("<script>alert(1)</script>", "script-alert-1---script"),
            ("İ", "i"),
            ("数据库", "user"),
            ("", "user"),
            ("-\n", "user"),
            (long.as_str(), &long[..59]),
        ] {
            let mapped = Username::from_claim(claim);
            assert_eq!(mapped.as_str(), name, "{:?}", claim.get(..20));
            assert_eq!(Username::parse(name).as_ref(), Ok(&mapped));
        }
    }

    #[test]
    fn usernames() {
        for good in ["ann", "ann.b@example.com", "0day"] {
            assert!(Username::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", ".ann", "Ann", "a b", "a/b", "ä", &"x".repeat(64)] {
            assert!(Username::parse(bad).is_err(), "{bad:?}");
        }
    }
}
