//! How full a container's disk is: what its agent says, and what may be believed of it.

use serde::{Deserialize, Serialize};

use crate::size::StorageGb;

const GIB: i64 = 1 << 30;

/// One line of the agent's log, as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    pub disk_used_bytes: i64,
    pub disk_total_bytes: i64,
}

impl DiskUse {
    /// Bytes in use, if that number speaks of this container alone. Where a storage class gives folders of a shared disk,
    /// the numbers are the node's and nobody else's business; classes that round a size up stay well below the bound.
    pub fn of_own_disk(self, size: StorageGb) -> Option<i64> {
        let most = (2 * i64::from(size.get()) + 16) * GIB;
        (self.disk_used_bytes >= 0 && self.disk_used_bytes <= self.disk_total_bytes && self.disk_total_bytes <= most)
            .then_some(self.disk_used_bytes)
    }
}

/// GiB with one decimal, as the API shows it.
#[expect(clippy::cast_precision_loss, reason = "a tenth of a GiB is coarser than any rounding of an f64")]
pub fn gib(bytes: i64) -> f64 {
    (bytes as f64 / GIB as f64 * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disk_of_its_own_counts() {
        let size = StorageGb::new(5).unwrap();
        for (used, total, known) in [
            (0, 5 * GIB, Some(0)),
            (3 * GIB, 5 * GIB, Some(3 * GIB)),
            (3 * GIB, 10 * GIB, Some(3 * GIB)),
            (3 * GIB, 500 * GIB, None),
            (6 * GIB, 5 * GIB, None),
            (-1, 5 * GIB, None),
            (1, i64::MAX, None),
        ] {
            assert_eq!(
                DiskUse { disk_used_bytes: used, disk_total_bytes: total }.of_own_disk(size),
                known,
                "{used} {total}"
            );
        }
    }

    #[test]
    fn one_decimal() {
        for (bytes, shown) in [(0, 0.0), (1, 0.0), (GIB / 10, 0.1), (GIB * 3 / 2, 1.5), (5 * GIB, 5.0)] {
            assert!((gib(bytes) - shown).abs() < f64::EPSILON, "{bytes}");
        }
    }
}
