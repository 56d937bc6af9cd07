//! Settings of the gateway.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

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
    pub ssh_port: u16,
    /// Where rules for port 80 are served.
    pub http_port: u16,
    /// Where rules for port 443 are served, and the API.
    pub https_port: u16,
    /// Where rules for port 8000 are served; the next 999 ports follow.
    pub base_port: u16,
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
            ssh_port: 22,
            http_port: 80,
            https_port: 443,
            base_port: 8000,
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
    /// The ports of this machine that serve rules, each with the port that a rule names.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (u16, PublicPort)> {
        let more = (self.base_port..=u16::MAX).zip(PublicPort::MORE);
        [(self.http_port, 80), (self.https_port, 443)]
            .into_iter()
            .chain(more)
            .map(|(here, rule)| (here, PublicPort::from_stored(rule)))
    }
}
