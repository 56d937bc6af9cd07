//! Addresses of the gateway that containers have for their own, as far as their owners go: no two containers of one owner
//! share one, so a key and an address name a container.

use std::net::IpAddr;

use serde::Deserialize;

/// The addresses there are, each once, in the order of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<IpAddr>")]
pub struct Addresses(Vec<IpAddr>);

impl From<Vec<IpAddr>> for Addresses {
    fn from(all: Vec<IpAddr>) -> Self {
        let mut unique = Vec::with_capacity(all.len());
        for address in all.into_iter().map(|address| address.to_canonical()) {
            if !unique.contains(&address) {
                unique.push(address);
            }
        }
        Self(unique)
    }
}

impl Addresses {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().copied()
    }

    /// For one more container: of those that its owner's other containers do not have and that `suits` admits, the one that
    /// the fewest containers have (`shared` counts everybody's). `None` when there is none left.
    pub fn choose(
        &self,
        own: &[IpAddr],
        shared: impl Fn(IpAddr) -> usize,
        suits: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        self.iter().filter(|address| !own.contains(address) && suits(*address)).min_by_key(|address| shared(*address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, last])
    }

    #[test]
    fn the_least_shared_that_the_owner_has_not() {
        let all = Addresses::from(vec![ip(1), ip(2), ip(3), ip(2)]);
        assert_eq!(all.iter().count(), 3);
        for (own, shared, unsuitable, expected) in [
            (&[][..], [0, 0, 0], None, Some(ip(1))),
            (&[], [1, 0, 0], None, Some(ip(2))),
            (&[], [2, 1, 1], None, Some(ip(2))),
            (&[ip(2)], [9, 0, 8], None, Some(ip(3))),
            (&[ip(2)], [9, 0, 8], Some(ip(3)), Some(ip(1))),
            (&[ip(1), ip(2), ip(3)], [1, 1, 1], None, None),
            (&[ip(1), ip(2)], [1, 1, 0], Some(ip(3)), None),
            (&[ip(9)], [0, 0, 0], None, Some(ip(1))),
        ] {
            let count = |address| (1..=3).find(|last| ip(*last) == address).map_or(0, |last| shared[last as usize - 1]);
            let suits = |address| Some(address) != unsuitable;
            assert_eq!(all.choose(own, count, suits), expected, "{own:?} {shared:?} {unsuitable:?}");
        }
        assert_eq!(Addresses::default().choose(&[], |_| 0, |_| true), None);
    }
}
