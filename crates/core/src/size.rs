//! Sizes with their unit in the type.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Memory of a container in MiB (the field's historical name says `mb`): limit and request alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MemoryMb(i32);

impl MemoryMb {
    pub const DEFAULT: Self = Self(512);
    /// Below this a shell and its init do not fit.
    pub const MIN: i32 = 64;
    /// 256 GiB.
    pub const MAX: i32 = 262_144;

    /// # Errors
    /// [`Invalid`] with field `memory_mb`.
    pub fn new(mb: i64) -> Result<Self, Invalid> {
        bounded(mb, Self::MIN, Self::MAX).map(Self).ok_or_else(|| {
            Invalid::new("memory_mb", format!("memory_mb is a number of MiB from {} to {}", Self::MIN, Self::MAX))
        })
    }

    pub fn get(self) -> i32 {
        self.0
    }

    /// For rows that were checked when they were written.
    pub fn from_stored(mb: i32) -> Self {
        Self(mb)
    }
}

/// Size of a container's disk in GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StorageGb(i32);

impl StorageGb {
    pub const DEFAULT: Self = Self(5);
    pub const MIN: i32 = 1;
    pub const MAX: i32 = 4096;

    /// # Errors
    /// [`Invalid`] with field `storage_gb`.
    pub fn new(gb: i64) -> Result<Self, Invalid> {
        bounded(gb, Self::MIN, Self::MAX).map(Self).ok_or_else(|| {
            Invalid::new("storage_gb", format!("storage_gb is a number of GiB from {} to {}", Self::MIN, Self::MAX))
        })
    }

    pub fn get(self) -> i32 {
        self.0
    }

    /// For rows that were checked when they were written.
    pub fn from_stored(gb: i32) -> Self {
        Self(gb)
    }
}

fn bounded(value: i64, min: i32, max: i32) -> Option<i32> {
    i32::try_from(value).ok().filter(|value| (min..=max).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_outside_their_range_are_refused() {
        for mb in [-1, 0, 63, 262_145, i64::MAX, i64::MIN, 1 << 40] {
            assert_eq!(MemoryMb::new(mb).unwrap_err().field, "memory_mb");
        }
        for gb in [-1, 0, 4097, i64::MAX] {
            assert_eq!(StorageGb::new(gb).unwrap_err().field, "storage_gb");
        }
        assert_eq!(MemoryMb::new(512), Ok(MemoryMb::DEFAULT));
        assert_eq!(StorageGb::new(5), Ok(StorageGb::DEFAULT));
    }
}
