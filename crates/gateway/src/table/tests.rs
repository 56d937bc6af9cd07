#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use berth_core::id::UserId;
use berth_core::names::Names;
use berth_route::{Owner, RouteSpec, Ssh};

use super::*;

pub(crate) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh";

fn spec(id: &str, enabled: bool) -> RouteSpec {
    let keys = vec![berth_route::Key { id: 1, fingerprint: String::new(), public_key: KEY.to_owned() }];
    RouteSpec {
        container: id.to_owned(),
        owner: Owner { id: 7, username: "ann".to_owned() },
        hostname: format!("{id}.compute.example.com"),
        rules: vec![berth_route::Rule { port: 80, target_port: 8080, protocol: Protocol::Http }],
        ports: "80:8080".to_owned(),
        ssh: Ssh { enabled, port: 22022, keys, host_key: None },
        address: None,
        stopped: false,
        generation: 3,
    }
}

/// Ann's container in example.com.
pub(crate) fn target(id: &str, enabled: bool) -> Target {
    let names = Names::new(UserId(7), id.parse().unwrap());
    Target::parse(&names, ".compute.example.com", spec(id, enabled)).unwrap()
}

/// Ann's containers in example.com.
pub(crate) fn table(ids: &[&str]) -> Table {
    let table = Table::new("example.com");
    ids.iter().for_each(|id| put(&table, id, true));
    table
}

fn put(table: &Table, id: &str, enabled: bool) {
    let target = target(id, enabled);
    table.set_route(target.id, Some(target));
}

#[test]
fn a_host_name_leads_to_its_own_container_alone() {
    let table = Table::new("Example.com");
    put(&table, "bcdfghjk", true);
    for name in ["bcdfghjk.compute.example.com", "BCDFGHJK.Compute.Example.COM", "bcdfghjk.compute.example.com."] {
        assert_eq!(table.host(name).unwrap().now().id.as_str(), "bcdfghjk", "{name}");
    }
    for name in [
        "",
        "compute.example.com",
        "bcdfghjm.compute.example.com",
        "x.bcdfghjk.compute.example.com",
        "bcdfghjk.compute.example.com..",
        "bcdfghjk.compute.example.org",
        "bcdfghjk",
        "ääää.compute.example.com",
    ] {
        assert!(table.host(name).is_none(), "{name}");
    }
    assert!(table.is_api("compute.EXAMPLE.com") && !table.is_api("xcompute.example.com"));
}

#[test]
fn routes_and_addresses_come_in_any_order_and_go() {
    let table = Table::new("example.com");
    let id: ContainerId = "bcdfghjk".parse().unwrap();
    table.set_address(id, Some([10, 0, 0, 9].into()));
    assert!(table.get(id).is_none());
    put(&table, "bcdfghjk", true);
    let entry = table.get(id).unwrap();
    assert_eq!(entry.now().rule_address(80).unwrap().to_string(), "10.0.0.9:8080");
    assert_eq!(entry.now().rule_address(443), None);
    table.keep_addresses(&BTreeSet::new());
    assert_eq!(entry.now().rule_address(80), None);
    let key = entry.now().ssh.keys[0].fingerprint.clone();
    assert_eq!(table.accepting(&key).len(), 1);
    table.keep_routes(&BTreeSet::new());
    assert!(table.get(id).is_none());
    assert!(table.accepting(&key).is_empty());
}

#[test]
fn a_port_of_an_address_is_one_containers_or_nobodys() {
    let table = Table::new("example.com");
    let own: IpAddr = "203.0.113.7".parse().unwrap();
    let put = |id: &str, address: Option<IpAddr>, protocol| {
        let rules = [(8000, Rule { target: 5432, protocol })].into();
        let target = Target { own_address: address, rules, ..target(id, true) };
        table.set_address(target.id, Some([10, 0, 0, 9].into()));
        table.set_route(target.id, Some(target));
    };
    let raw = |address: IpAddr, port| table.raw(address, port).map(|entry| entry.now().id.to_string());
    put("bcdfghjk", Some(own), Protocol::Tcp);
    put("bcdfghjm", Some(own), Protocol::Http);
    put("bcdfghjn", None, Protocol::Tcp);
    assert_eq!(raw(own, 8000).as_deref(), Some("bcdfghjk"));
    assert_eq!(raw(own, 8001), None);
    assert_eq!(raw([203, 0, 113, 8].into(), 8000), None);
    let target = table.raw(own, 8000).unwrap().now();
    assert_eq!(target.raw_address(own, 8000).unwrap().to_string(), "10.0.0.9:5432");
    assert_eq!(target.raw_address(own, 80), None);
    // While one comes and another goes: never the wrong one.
    put("bcdfghjm", Some(own), Protocol::Tcp);
    assert_eq!(raw(own, 8000), None);
    table.set_route(target.id, None);
    assert_eq!(raw(own, 8000).as_deref(), Some("bcdfghjm"));
    put("bcdfghjm", Some(own), Protocol::Http);
    assert_eq!(raw(own, 8000), None);
}

#[test]
fn a_route_speaks_of_its_own_namespace_only() {
    let names = Names::new(UserId(7), "bcdfghjk".parse().unwrap());
    let parse = |spec| Target::parse(&names, ".compute.example.com", spec);
    assert!(parse(spec("bcdfghjm", true)).is_err());
    assert!(parse(RouteSpec { hostname: "compute.example.com".to_owned(), ..spec("bcdfghjk", true) }).is_err());
    let foreign = Owner { id: 8, username: "bob".to_owned() };
    assert!(parse(RouteSpec { owner: foreign, ..spec("bcdfghjk", true) }).is_err());
}

#[tokio::test]
async fn what_is_open_learns_that_its_ground_is_gone() {
    let table = Arc::new(Table::new("example.com"));
    put(&table, "bcdfghjk", true);
    let entry = table.host("bcdfghjk.compute.example.com").unwrap();
    let key = entry.now().ssh.keys[0].fingerprint.clone();
    let open = tokio::spawn(entry.clone().until_not(move |target| target.accepts(&key)));
    let other = tokio::spawn(entry.until_not(|target| target.rules.contains_key(&80)));
    put(&table, "bcdfghjk", false);
    tokio::time::timeout(Duration::from_secs(10), open).await.unwrap().unwrap();
    assert!(!other.is_finished());
    table.keep_routes(&BTreeSet::new());
    tokio::time::timeout(Duration::from_secs(10), other).await.unwrap().unwrap();
}
