//! The network policy: in only by rules and SSH, and out only to DNS and to the public internet. IPv4 alone; on a cluster with IPv6 the
//! absence of an IPv6 rule denies it.

use std::collections::BTreeSet;

use berth_core::names::{AGENT_PORT, GATEWAY, LABEL_APP, NETWORK_POLICY, SYSTEM_NAMESPACE};
use ipnet::Ipv4Net;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ApiResource;
use serde_json::{Value, json};

use super::{Context, Object};

/// What is not the public internet. With the three private ranges alone, metadata services, carrier-grade NAT and node
/// addresses stay reachable.
const NOT_PUBLIC: [&str; 17] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
];

/// `open` are the target ports of public rules: reachable from public addresses and from the gateway. The agent's port is
/// open to the gateway alone, and only while `ssh` is on.
pub(super) fn policy(context: &Context<'_>, open: &[u16], ssh: bool, labels: &Value) -> Object {
    let except: Vec<String> = except(context).iter().map(ToString::to_string).collect();
    let public = json!({ "ipBlock": { "cidr": "0.0.0.0/0", "except": except } });
    let mut dns_peers = vec![json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } },
        "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
    })];
    // Whether a policy sees a Service's address or its pod's differs between network plug-ins: both are named.
    if let Some(address) = context.facts.dns {
        dns_peers.push(json!({ "ipBlock": { "cidr": format!("{address}/32") } }));
    }
    let dns_ports = json!([{ "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 }]);
    let gateway = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": SYSTEM_NAMESPACE } },
        "podSelector": { "matchLabels": { LABEL_APP: GATEWAY } },
    });
    let port = |port: &u16| json!({ "protocol": "TCP", "port": port });
    let mut ingress = Vec::new();
    if !open.is_empty() {
        let ports: Vec<Value> = open.iter().map(port).collect();
        ingress.push(json!({ "from": [public, gateway], "ports": ports }));
    }
    if ssh {
        ingress.push(json!({ "from": [gateway], "ports": [port(&AGENT_PORT)] }));
    }
    let body = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": NETWORK_POLICY, "labels": labels },
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": [{ "to": dns_peers, "ports": dns_ports }, { "to": [public] }],
        },
    });
    Object { resource: ApiResource::erase::<NetworkPolicy>(&()), name: NETWORK_POLICY, body }
}

/// The shipped list less what the operator allows, and every address of the cluster and the operator on top.
fn except(context: &Context<'_>) -> BTreeSet<Ipv4Net> {
    let isolation = &context.config.isolation;
    let shipped = NOT_PUBLIC.iter().filter_map(|range| range.parse::<Ipv4Net>().ok());
    let kept: BTreeSet<Ipv4Net> = shipped.filter(|range| !isolation.egress_allow.contains(range)).collect();
    let extra = context.facts.internal.iter().chain(&isolation.egress_except).map(Ipv4Net::trunc);
    let extra: Vec<Ipv4Net> = extra.filter(|range| !kept.iter().any(|wide| wide.contains(range))).collect();
    kept.into_iter().chain(extra).collect()
}
