//! How a container can be reached from outside: its rules, and the keys it accepts. The network policy and the route are
//! made from this and from nothing else.

use crate::id::KeyId;
use crate::ingress::Rule;
use crate::key::PublicKey;

/// Both in the order of their ids' rows, so that equal exposures build equal objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exposure {
    /// By port.
    pub rules: Vec<Rule>,
    /// By id. They matter only while SSH is enabled.
    pub keys: Vec<AcceptedKey>,
}

/// A key that may log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedKey {
    pub id: KeyId,
    pub key: PublicKey,
}

impl Exposure {
    /// Ports inside that are open to the public, each once, in order.
    pub fn targets(&self) -> Vec<u16> {
        let mut targets: Vec<u16> = self.rules.iter().map(|rule| rule.target.get()).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}
