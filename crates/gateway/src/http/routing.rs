//! Where a request leads: by the name it speaks to and the port that it came to, and by nothing else.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::Authority;

use super::answer::Refusal;
use super::connection::Door;
use crate::Shared;
use crate::table::{Entry, Protocol, Target};

const HTTPS: u16 = 443;
const HTTP: u16 = 80;

/// What a connection was led through; when it no longer stands, neither does the connection.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    /// Absent: the API, which always stands.
    entry: Option<Entry>,
    port: u16,
    pub(crate) address: SocketAddr,
}

/// Whom connections to pods are kept for: never shared between containers or rules, whatever their addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    container: Option<berth_core::id::ContainerId>,
    port: u16,
    address: SocketAddr,
}

impl Ground {
    pub(crate) fn is_api(&self) -> bool {
        self.entry.is_none()
    }

    /// The container as it is now; none for the API.
    pub(crate) fn target(&self) -> Option<Arc<Target>> {
        self.entry.as_ref().map(Entry::now)
    }

    pub(crate) fn key(&self) -> Key {
        let container = self.entry.as_ref().map(|entry| entry.now().id);
        Key { container, port: self.port, address: self.address }
    }

    /// Returns once the rule, the container or its address is another.
    pub(crate) async fn gone(&self) {
        match self.entry.clone() {
            Some(entry) => entry.until_not(|target| self.stands(target)).await,
            None => std::future::pending().await,
        }
    }

    fn stands(&self, target: &Target) -> bool {
        way(target, self.port).is_ok_and(|address| address == self.address)
    }
}

/// `host` is what the request says, with or without a port.
pub(crate) fn find(shared: &Shared, door: &Door, host: &str) -> Result<Ground, Refusal> {
    let table = &shared.table;
    let authority: Authority = host.parse().map_err(|_| Refusal::Malformed("the host name is none"))?;
    if host.contains('@') {
        return Err(Refusal::Malformed("a host name has no user"));
    }
    let name = authority.host();
    // The certificate was shown for one container: no request over it reaches another.
    if door.tls {
        let sni = door.sni.as_deref().unwrap_or_default();
        let same = match table.id_of(sni) {
            Some(id) => table.id_of(name) == Some(id),
            None => table.is_api(sni) && table.is_api(name),
        };
        if !same {
            return Err(Refusal::Misdirected);
        }
    }
    if table.is_api(name) {
        return match (door.port, shared.config.api) {
            (HTTPS, Some(address)) => Ok(Ground { entry: None, port: HTTPS, address }),
            (HTTP, Some(_)) if !door.tls => Err(Refusal::ToHttps(table.apex().to_owned())),
            (_, Some(_) | None) => Err(Refusal::Unknown),
        };
    }
    let entry = table.host(name).ok_or(Refusal::Unknown)?;
    let address = way(&entry.now(), door.port)?;
    Ok(Ground { entry: Some(entry), port: door.port, address })
}

/// A stranger learns of a container no more than its open ports say: without a rule it answers like one that is not there.
fn way(target: &Target, port: u16) -> Result<SocketAddr, Refusal> {
    match target.rules.get(&port).map(|rule| rule.protocol) {
        Some(Protocol::Http) => {}
        // Raw TCP is served before its first byte is read, at the container's own address alone: see accept.
        Some(Protocol::Tcp) | None => return Err(Refusal::Unknown),
    }
    if target.stopped {
        return Err(Refusal::Stopped);
    }
    target.rule_address(port).ok_or(Refusal::Starting)
}
