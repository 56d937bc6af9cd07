//! One container, parsed: nothing of a route is used as it came.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use berth_core::id::{ContainerId, Generation, UserId};
use berth_core::names::Names;
use berth_route::RouteSpec;
use ssh_key::PublicKey;

pub(crate) use berth_route::Protocol;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) id: ContainerId,
    pub(crate) owner: UserId,
    pub(crate) username: String,
    /// `<id>.compute.<domain>`
    pub(crate) hostname: String,
    /// By the port that the public uses.
    pub(crate) rules: BTreeMap<u16, Rule>,
    pub(crate) ssh: Ssh,
    /// The gateway's address that no other container of its owner has.
    pub(crate) own_address: Option<IpAddr>,
    /// Its owner stopped it.
    pub(crate) stopped: bool,
    pub(crate) generation: Generation,
    /// Of its pod, while there is one.
    pub(crate) address: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) target: u16,
    pub(crate) protocol: Protocol,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ssh {
    pub(crate) enabled: bool,
    /// The agent's.
    pub(crate) port: u16,
    /// Who may log in while it is enabled.
    pub(crate) keys: Vec<Key>,
    /// The agent's own.
    pub(crate) host_key: Option<PublicKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// `SHA256:…`
    pub(crate) fingerprint: String,
    pub(crate) key: PublicKey,
}

/// A route that says something impossible, which no controller of ours writes.
#[derive(Debug, thiserror::Error)]
#[error("the route's {0} is not what its namespace and name say")]
pub(crate) struct BadRoute(&'static str);

impl Target {
    /// `names` are those of the namespace that the route was found in.
    pub(crate) fn parse(names: &Names, suffix: &str, spec: RouteSpec) -> Result<Self, BadRoute> {
        let hostname = format!("{}{suffix}", names.id);
        if spec.container != names.id.as_str() {
            return Err(BadRoute("container"));
        }
        if spec.owner.id != names.owner.0 {
            return Err(BadRoute("owner"));
        }
        if !spec.hostname.eq_ignore_ascii_case(&hostname) {
            return Err(BadRoute("host name"));
        }
        let key = |key: berth_route::Key| {
            let parsed = PublicKey::from_openssh(&key.public_key).ok()?;
            let fingerprint = parsed.fingerprint(ssh_key::HashAlg::Sha256).to_string();
            Some(Key { fingerprint, key: parsed })
        };
        let rule = |rule: berth_route::Rule| (rule.port, Rule { target: rule.target_port, protocol: rule.protocol });
        Ok(Self {
            id: names.id,
            owner: names.owner,
            username: spec.owner.username,
            hostname,
            rules: spec.rules.into_iter().map(rule).collect(),
            ssh: Ssh {
                enabled: spec.ssh.enabled,
                port: spec.ssh.port,
                keys: spec.ssh.keys.into_iter().filter_map(key).collect(),
                host_key: spec.ssh.host_key.and_then(|key| PublicKey::from_openssh(&key).ok()),
            },
            own_address: spec.address,
            stopped: spec.stopped,
            generation: Generation(spec.generation),
            address: None,
        })
    }

    /// Where the rule for a public port leads now; `None` without a pod or a rule.
    pub(crate) fn rule_address(&self, port: u16) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address?, self.rules.get(&port)?.target))
    }

    /// The ports of its own address that are raw TCP.
    pub(crate) fn raw(&self) -> impl Iterator<Item = (IpAddr, u16)> {
        let raw = self.rules.iter().filter(|(_, rule)| rule.protocol == Protocol::Tcp);
        raw.filter_map(|(port, _)| Some((self.own_address?, *port)))
    }

    /// Where raw TCP to a port of an address leads now; `None` without a pod, or when the port is not its own there.
    pub(crate) fn raw_address(&self, address: IpAddr, port: u16) -> Option<SocketAddr> {
        let own = !self.stopped && self.raw().any(|raw| raw == (address, port));
        own.then(|| self.rule_address(port)).flatten()
    }

    /// Where the agent listens; `None` without a pod.
    pub(crate) fn agent_address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address?, self.ssh.port))
    }

    /// Whether SSH is on and this key may log in.
    pub(crate) fn accepts(&self, fingerprint: &str) -> bool {
        self.ssh.enabled && self.ssh.keys.iter().any(|key| key.fingerprint == fingerprint)
    }
}
