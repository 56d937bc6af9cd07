//! Identifiers. Each kind is its own type, so that a key's number can never be taken for a user's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The short id of a container: 8 characters of [`ContainerId::ALPHABET`].
///
/// It is a DNS label (`<id>.compute.<domain>`) and the tail of the namespace's name. It starts with a letter or a digit,
/// holds no vowel (no words appear by chance) and none of `l`, `0`, `1` (they are misread).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId([u8; ContainerId::LEN]);

impl ContainerId {
    pub const LEN: usize = 8;
    /// 28 characters: 28^8 = 3.8e11 ids.
    pub const ALPHABET: &'static [u8; 28] = b"23456789bcdfghjkmnpqrstvwxyz";

    /// Maps random bits to an id. The same bits give the same id; a modulo over 64 bits leaves no bias worth a name.
    pub fn from_random(mut bits: u64) -> Self {
        let base = Self::ALPHABET.len() as u64;
        let mut out = [0; Self::LEN];
        for slot in &mut out {
            *slot = Self::ALPHABET[(bits % base) as usize];
            bits /= base;
        }
        Self(out)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for ContainerId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bytes: [u8; Self::LEN] = text.as_bytes().try_into().map_err(|_| Self::malformed())?;
        if bytes.iter().all(|byte| Self::ALPHABET.contains(byte)) { Ok(Self(bytes)) } else { Err(Self::malformed()) }
    }
}

impl ContainerId {
    fn malformed() -> Invalid {
        Invalid::new("id", "a container id is 8 characters out of 2-9 and b-z without vowels and l")
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ContainerId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ContainerId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

number_id!(
    /// A row of `users`.
    UserId
);
number_id!(
    /// A row of `ssh_keys`.
    KeyId
);
number_id!(
    /// A row of `ingress_rules`.
    RuleId
);
number_id!(
    /// A row of `api_tokens`.
    TokenId
);
number_id!(
    /// Counts the intents written to a container's row, from 1. What was observed for an older one is discarded.
    Generation
);

impl Generation {
    pub const FIRST: Self = Self(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_random_number_gives_an_id_that_parses() {
        for bits in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            let id = ContainerId::from_random(bits);
            assert_eq!(id.as_str().parse::<ContainerId>(), Ok(id));
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in
            ["", "7f3c9a5", "7f3c9a522", "ABCDEFGH", "../../..", "bcdfgh\n2", "bcdfgh l", "аbcdfgh2", "bcdfgha2"]
        {
            assert!(text.parse::<ContainerId>().is_err(), "{text:?}");
        }
    }
}
