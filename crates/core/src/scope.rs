//! Scopes of tokens: which verbs on which part of an account. A broader part contains the narrower ones.
//!
//! Written as in a token's claims: `{"compute.7.containers": ["read", "create"]}`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::id::{ContainerId, UserId};

/// A part of one user's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `compute.<uid>`
    Account(UserId),
    /// `compute.<uid>.containers`
    Containers(UserId),
    /// `compute.<uid>.containers.<id>`
    Container(UserId, ContainerId),
    /// `compute.<uid>.keys`
    Keys(UserId),
}

impl Resource {
    pub fn owner(self) -> UserId {
        match self {
            Self::Account(user) | Self::Containers(user) | Self::Container(user, _) | Self::Keys(user) => user,
        }
    }

    /// The next broader part.
    fn parent(self) -> Option<Self> {
        match self {
            Self::Account(_) => None,
            Self::Containers(user) | Self::Keys(user) => Some(Self::Account(user)),
            Self::Container(user, _) => Some(Self::Containers(user)),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(user) => write!(f, "compute.{user}"),
            Self::Containers(user) => write!(f, "compute.{user}.containers"),
            Self::Container(user, id) => write!(f, "compute.{user}.containers.{id}"),
            Self::Keys(user) => write!(f, "compute.{user}.keys"),
        }
    }
}

impl FromStr for Resource {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let unknown = || {
            Invalid::new(
                "scopes",
                "a scope is compute.<user id>, optionally followed by .containers, .containers.<id> or .keys",
            )
        };
        let parts: Vec<&str> = text.split('.').take(5).collect();
        let user = |text: &str| text.parse::<UserId>().map_err(|_| unknown());
        match parts[..] {
            ["compute", uid] => Ok(Self::Account(user(uid)?)),
            ["compute", uid, "containers"] => Ok(Self::Containers(user(uid)?)),
            ["compute", uid, "containers", id] => Ok(Self::Container(user(uid)?, id.parse().map_err(|_| unknown())?)),
            ["compute", uid, "keys"] => Ok(Self::Keys(user(uid)?)),
            _ => Err(unknown()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Read,
    Create,
    Start,
    Stop,
    Update,
    Delete,
}

/// What a token may do. Empty means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(BTreeMap<Resource, BTreeSet<Verb>>);

impl Scopes {
    /// Reads the claim's shape: resource → verbs.
    ///
    /// # Errors
    /// [`Invalid`] with field `scopes` for an unknown resource or verb.
    pub fn parse<'a, V: IntoIterator<Item = &'a str>>(
        entries: impl IntoIterator<Item = (&'a str, V)>,
    ) -> Result<Self, Invalid> {
        let mut map = BTreeMap::new();
        for (resource, verbs) in entries {
            let set: &mut BTreeSet<Verb> = map.entry(resource.parse()?).or_default();
            for verb in verbs {
                set.insert(parse_verb(verb)?);
            }
        }
        Ok(Self(map))
    }

    /// Whether `verb` on `resource`, or on a part that contains it, is granted.
    pub fn allow(&self, resource: Resource, verb: Verb) -> bool {
        let mut at = Some(resource);
        while let Some(part) = at {
            if self.0.get(&part).is_some_and(|verbs| verbs.contains(&verb)) {
                return true;
            }
            at = part.parent();
        }
        false
    }

    /// The users whose accounts these scopes speak of.
    pub fn owners(&self) -> BTreeSet<UserId> {
        self.0.keys().map(|resource| resource.owner()).collect()
    }

    /// The claim's shape again, in order.
    pub fn to_map(&self) -> BTreeMap<String, Vec<Verb>> {
        self.0.iter().map(|(resource, verbs)| (resource.to_string(), verbs.iter().copied().collect())).collect()
    }
}

fn parse_verb(text: &str) -> Result<Verb, Invalid> {
    Ok(match text {
        "read" => Verb::Read,
        "create" => Verb::Create,
        "start" => Verb::Start,
        "stop" => Verb::Stop,
        "update" => Verb::Update,
        "delete" => Verb::Delete,
        _ => {
            return Err(Invalid::new("scopes", "a verb is read, create, start, stop, update or delete"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ContainerId {
        "bcdfghjk".parse().unwrap()
    }

    fn scopes(entries: &[(&str, &[&str])]) -> Scopes {
        Scopes::parse(entries.iter().map(|(resource, verbs)| (*resource, verbs.iter().copied()))).unwrap()
    }

    #[test]
    fn a_broader_scope_contains_the_narrower_one() {
        let one = Resource::Container(UserId(7), id());
        type Given = &'static [(&'static str, &'static [&'static str])];
        let table: [(Given, Resource, Verb, bool); 8] = [
            (&[("compute.7.containers.bcdfghjk", &["read"])], one, Verb::Read, true),
            (&[("compute.7.containers.bcdfghjk", &["read"])], one, Verb::Stop, false),
            (&[("compute.7.containers", &["read"])], one, Verb::Read, true),
            (&[("compute.7", &["read"])], one, Verb::Read, true),
            (&[("compute.7.containers.bcdfghjk", &["read"])], Resource::Containers(UserId(7)), Verb::Read, false),
            (&[("compute.8.containers", &["read"])], one, Verb::Read, false),
            (&[("compute.7.keys", &["read"])], one, Verb::Read, false),
            (&[], one, Verb::Read, false),
        ];
        for (entries, resource, verb, allowed) in table {
            assert_eq!(scopes(entries).allow(resource, verb), allowed, "{entries:?} {resource} {verb:?}");
        }
    }

    #[test]
    fn a_scope_reads_back() {
        for text in ["compute.7", "compute.7.containers", "compute.7.containers.bcdfghjk", "compute.7.keys"] {
            assert_eq!(text.parse::<Resource>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "compute",
            "compute.x",
            "compute.7.containers.x",
            "compute.7.keys.1",
            "storage.7",
            "compute.7.containers.bcdfghjk.x",
        ] {
            assert!(text.parse::<Resource>().is_err(), "{text}");
        }
    }
}
