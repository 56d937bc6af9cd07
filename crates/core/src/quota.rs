//! What one user may hold at once. Counted by the store inside the transaction that inserts.

use serde::{Deserialize, Serialize};

use crate::size::{MemoryMb, StorageGb};

/// Limits per user. Memory in MiB, storage in GiB, summed over the user's containers, stopped ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    pub containers: i64,
    pub memory_mb: i64,
    pub storage_gb: i64,
    pub ssh_keys: i64,
    pub ingress_rules: i64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { containers: 3, memory_mb: 16_384, storage_gb: 100, ssh_keys: 10, ingress_rules: 60 }
    }
}

/// What a user holds now; the same units as [`Quota`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    pub containers: i64,
    pub memory_mb: i64,
    pub storage_gb: i64,
    pub ssh_keys: i64,
    pub ingress_rules: i64,
}

/// The first quota that one more container would break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this would take you to {wanted} of {limit} {what}; make room first or ask your administrator for more")]
pub struct QuotaExceeded {
    pub what: &'static str,
    pub wanted: i64,
    pub limit: i64,
}

impl Quota {
    /// # Errors
    /// [`QuotaExceeded`] when a container of this size does not fit beside what is there.
    pub fn admit(&self, usage: &Usage, memory: MemoryMb, storage: StorageGb) -> Result<(), QuotaExceeded> {
        let rows = [
            ("containers", usage.containers + 1, self.containers),
            ("MiB of memory", usage.memory_mb + i64::from(memory.get()), self.memory_mb),
            ("GiB of storage", usage.storage_gb + i64::from(storage.get()), self.storage_gb),
        ];
        match rows.into_iter().find(|(_, wanted, limit)| wanted > limit) {
            Some((what, wanted, limit)) => Err(QuotaExceeded { what, wanted, limit }),
            None => Ok(()),
        }
    }
}

impl Quota {
    /// # Errors
    /// [`QuotaExceeded`] when one more SSH key is too many.
    pub fn admit_key(&self, held: i64) -> Result<(), QuotaExceeded> {
        one_more("SSH keys", held, self.ssh_keys)
    }

    /// # Errors
    /// [`QuotaExceeded`] when one more ingress rule, over all containers, is too many.
    pub fn admit_rule(&self, held: i64) -> Result<(), QuotaExceeded> {
        one_more("ingress rules", held, self.ingress_rules)
    }
}

fn one_more(what: &'static str, held: i64, limit: i64) -> Result<(), QuotaExceeded> {
    let wanted = held + 1;
    if wanted > limit { Err(QuotaExceeded { what, wanted, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_limit_that_breaks_is_named() {
        let quota = Quota { containers: 2, memory_mb: 1024, storage_gb: 10, ..Quota::default() };
        let one = Usage { containers: 1, memory_mb: 512, storage_gb: 5, ..Usage::default() };
        assert_eq!(quota.admit(&one, MemoryMb::DEFAULT, StorageGb::DEFAULT), Ok(()));
        let two = Usage { containers: 2, ..one };
        assert_eq!(quota.admit(&two, MemoryMb::DEFAULT, StorageGb::DEFAULT).unwrap_err().what, "containers");
        let big = MemoryMb::new(513).unwrap();
        assert_eq!(quota.admit(&one, big, StorageGb::DEFAULT).unwrap_err().what, "MiB of memory");
        let wide = StorageGb::new(6).unwrap();
        assert_eq!(quota.admit(&one, MemoryMb::DEFAULT, wide).unwrap_err().what, "GiB of storage");
    }

    #[test]
    fn one_key_or_rule_more() {
        let quota = Quota { ssh_keys: 2, ingress_rules: 0, ..Quota::default() };
        assert_eq!(quota.admit_key(1), Ok(()));
        assert_eq!(quota.admit_key(2), Err(QuotaExceeded { what: "SSH keys", wanted: 3, limit: 2 }));
        assert_eq!(quota.admit_rule(0).unwrap_err().what, "ingress rules");
    }
}
