//! Settings of the gateway.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use berth_core::Invalid;
use berth_core::address::Addresses;
use berth_core::ingress::PublicPort;
use serde::Deserialize;

use crate::{Acme, Dns};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the gateway's own keys, which all replicas share; absent: `berthd all` runs no gateway. `berthd init` fills it.
    pub keys: Option<PathBuf>,
    /// Each of them is listened on.
    pub addresses: Vec<IpAddr>,
    /// As the public knows them. Each container gets one that no other of its owner's has: `ssh root@…` then needs no more
    /// to name it, and its rules may be raw TCP. They are listened on as well.
    pub dedicated: Addresses,
    /// Where a network in front of this machine translates them: what is connected to here, and which of `dedicated` that is.
    pub translated: BTreeMap<IpAddr, IpAddr>,
    pub ssh_port: u16,
    /// Where rules for port 80 are served.
    pub http_port: u16,
    /// Where rules for port 443 are served, and the API.
    pub https_port: u16,
    /// Where rules for port 8000 are served; the next 999 ports follow.
    pub base_port: u16,
    /// HTTP and HTTPS connections that one address may have open (of IPv6, one network of 64 bits). Behind a load balancer
    /// that hides its clients' addresses, as many as all of them need.
    pub max_connections_per_address: usize,
    /// How long a request, its answer, a body or a client that takes nothing may make no progress, by HTTP. Upgraded connections may
    /// be silent.
    pub stall_timeout_seconds: u64,
    /// Where `compute.<domain>` leads, and where connections are reported to; absent: to this process's own API.
    pub api: Option<SocketAddr>,
    /// The zone `compute.<domain>`, where it is delegated to the gateway.
    pub dns: Option<Dns>,
    /// Folder of connections that are still to be reported.
    pub spool: PathBuf,
    /// PEM file of the certificate for `compute.<domain>` and all names below it, with its chain; it may be replaced at any
    /// time. Absent: certificates are signed by the authority that is among the keys.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub certificate_key: Option<PathBuf>,
    /// Certificates by ACME; excludes the two files.
    pub acme: Option<Acme>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keys: None,
            addresses: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
            dedicated: Addresses::default(),
            translated: BTreeMap::new(),
            ssh_port: 22,
            http_port: 80,
            https_port: 443,
            base_port: 8000,
            max_connections_per_address: 1024,
            stall_timeout_seconds: 300,
            api: None,
            dns: None,
            spool: PathBuf::from("/var/lib/berth/spool"),
            certificate: None,
            certificate_key: None,
            acme: None,
        }
    }
}

impl Config {
    /// Which of the dedicated addresses somebody came to, by what their connection says here.
    pub(crate) fn dedicated(&self, local: IpAddr) -> Option<IpAddr> {
        let local = local.to_canonical();
        let public = self.translated.get(&local).copied().unwrap_or(local);
        self.dedicated.contains(public).then_some(public)
    }

    /// What is listened on: `addresses`, and those of `dedicated` that these do not cover.
    pub(crate) fn listened(&self) -> Vec<IpAddr> {
        let covers =
            |all: &IpAddr, one: &IpAddr| all == one || all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
        let here = |public: IpAddr| {
            let translated = self.translated.iter().find(|(_, of)| **of == public);
            translated.map_or(public, |(local, _)| *local)
        };
        let mut listened = self.addresses.clone();
        for address in self.dedicated.iter().map(here) {
            if !listened.iter().any(|all| covers(all, &address)) {
                listened.push(address);
            }
        }
        listened
    }

    /// # Errors
    /// The setting, and what is wrong with it.
    pub fn check(&self) -> Result<(), Invalid> {
        if let Some(public) = self.translated.values().find(|public| !self.dedicated.contains(**public)) {
            return Err(Invalid::new("gateway.translated", format!("{public} is not among gateway.dedicated")));
        }
        let mut shared = self.dns.iter().flat_map(|dns| &dns.addresses);
        if let Some(both) = shared.find(|address| self.dedicated.contains(**address)) {
            let detail = format!("{both} is among gateway.dns.addresses, which every container shares");
            return Err(Invalid::new("gateway.dedicated", detail));
        }
        Ok(())
    }

    pub(crate) fn stall_timeout(&self) -> Duration {
        Duration::from_secs(self.stall_timeout_seconds)
    }

    /// The ports of this machine that serve rules, each with the port that a rule names.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (u16, PublicPort)> {
        let more = (self.base_port..=u16::MAX).zip(PublicPort::MORE);
        [(self.http_port, 80), (self.https_port, 443)]
            .into_iter()
            .chain(more)
            .map(|(here, rule)| (here, PublicPort::from_stored(rule)))
    }
}
