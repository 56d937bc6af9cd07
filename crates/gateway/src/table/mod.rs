//! Which containers there are, and how each is reached: what routes and the addresses of pods come to. It is read for every
//! connection and every request, and changed by watches alone; the API, the controller, the database and the API server may
//! all be down meanwhile.

mod target;
mod watch;

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use berth_core::id::ContainerId;
use tokio::sync::watch as cell;

pub(crate) use target::{Protocol, Target};
#[cfg(test)]
pub(crate) use target::{Rule, Ssh};
pub(crate) use watch::follow;

/// Shared by everything that serves.
#[derive(Debug)]
pub(crate) struct Table {
    /// `.compute.<domain>`
    suffix: String,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    targets: HashMap<ContainerId, cell::Sender<Arc<Target>>>,
    /// Of pods, those of containers whose route did not come yet among them.
    addresses: HashMap<ContainerId, IpAddr>,
    /// Which containers accept a key, by its fingerprint; whether SSH is on or off.
    accepting: HashMap<String, BTreeSet<ContainerId>>,
    /// Whose a port of an address is for raw TCP. There are several only while one of them comes and another goes.
    raw: HashMap<(IpAddr, u16), BTreeSet<ContainerId>>,
}

/// One container as it is now, and as it becomes.
#[derive(Debug, Clone)]
pub(crate) struct Entry(cell::Receiver<Arc<Target>>);

impl Entry {
    pub(crate) fn now(&self) -> Arc<Target> {
        self.0.borrow().clone()
    }

    /// Returns once the container is no longer as `still` wants it, or is gone: what was opened on that ground ends then.
    pub(crate) async fn until_not(mut self, mut still: impl FnMut(&Target) -> bool) {
        let _gone = self.0.wait_for(|target| !still(target)).await;
    }
}

impl Table {
    pub(crate) fn new(domain: &str) -> Self {
        Self { suffix: format!(".compute.{}", domain.to_ascii_lowercase()), known: RwLock::default() }
    }

    pub(crate) fn get(&self, id: ContainerId) -> Option<Entry> {
        self.known().targets.get(&id).map(|target| Entry(target.subscribe()))
    }

    /// By host name without a port, in any case, with or without the last dot. Never another container's.
    pub(crate) fn host(&self, name: &str) -> Option<Entry> {
        self.get(self.id_of(name)?)
    }

    /// Which container a host name speaks of, whether or not there is one.
    pub(crate) fn id_of(&self, name: &str) -> Option<ContainerId> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let (label, rest) = name.split_at_checked(ContainerId::LEN)?;
        rest.eq_ignore_ascii_case(&self.suffix).then(|| label.to_ascii_lowercase().parse().ok()).flatten()
    }

    /// `compute.<domain>`: the API's own name.
    pub(crate) fn is_api(&self, name: &str) -> bool {
        name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(&self.suffix[1..])
    }

    /// `compute.<domain>`
    pub(crate) fn apex(&self) -> &str {
        &self.suffix[1..]
    }

    /// All containers that list this key, in the order of their ids; `SHA256:…`.
    pub(crate) fn accepting(&self, fingerprint: &str) -> Vec<Entry> {
        let known = self.known();
        let ids = known.accepting.get(fingerprint).into_iter().flatten();
        ids.filter_map(|id| known.targets.get(id)).map(|target| Entry(target.subscribe())).collect()
    }

    /// The one container that has a port of an address for raw TCP.
    pub(crate) fn raw(&self, address: IpAddr, port: u16) -> Option<Entry> {
        let known = self.known();
        let mut ids = known.raw.get(&(address, port))?.iter();
        let (only, None) = (ids.next()?, ids.next()) else { return None };
        known.targets.get(only).map(|target| Entry(target.subscribe()))
    }

    /// What a route says now; `None` when it is gone.
    pub(crate) fn set_route(&self, id: ContainerId, route: Option<Target>) {
        let mut known = self.known_mut();
        let old = known.targets.get(&id).map(|sender| sender.borrow().clone());
        for key in old.iter().flat_map(|old| &old.ssh.keys) {
            forget(&mut known.accepting, &key.fingerprint, id);
        }
        for port in old.iter().flat_map(|old| old.raw()) {
            forget(&mut known.raw, &port, id);
        }
        let Some(mut target) = route else {
            known.targets.remove(&id);
            return;
        };
        target.address = known.addresses.get(&id).copied();
        for key in &target.ssh.keys {
            known.accepting.entry(key.fingerprint.clone()).or_default().insert(id);
        }
        for port in target.raw() {
            known.raw.entry(port).or_default().insert(id);
        }
        match known.targets.get(&id) {
            Some(sender) => publish(sender, target),
            None => drop(known.targets.insert(id, cell::Sender::new(Arc::new(target)))),
        }
    }

    /// Where its pod is now.
    pub(crate) fn set_address(&self, id: ContainerId, address: Option<IpAddr>) {
        let mut known = self.known_mut();
        match address {
            Some(address) => known.addresses.insert(id, address),
            None => known.addresses.remove(&id),
        };
        if let Some(sender) = known.targets.get(&id) {
            let target = Target { address, ..sender.borrow().as_ref().clone() };
            publish(sender, target);
        }
    }

    /// After a list of all: what was not in it is gone.
    fn keep_routes(&self, listed: &BTreeSet<ContainerId>) {
        let gone: Vec<_> = self.known().targets.keys().filter(|id| !listed.contains(id)).copied().collect();
        gone.into_iter().for_each(|id| self.set_route(id, None));
    }

    fn keep_addresses(&self, listed: &BTreeSet<ContainerId>) {
        let gone: Vec<_> = self.known().addresses.keys().filter(|id| !listed.contains(id)).copied().collect();
        gone.into_iter().for_each(|id| self.set_address(id, None));
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget<K: Eq + Hash>(index: &mut HashMap<K, BTreeSet<ContainerId>>, key: &K, id: ContainerId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

/// An equal target wakes nobody.
fn publish(sender: &cell::Sender<Arc<Target>>, target: Target) {
    sender.send_if_modified(|now| {
        let changed = **now != target;
        if changed {
            *now = Arc::new(target);
        }
        changed
    });
}

#[cfg(test)]
pub(crate) mod tests;
