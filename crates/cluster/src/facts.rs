//! What is read of the cluster itself: it decides which addresses containers must not reach. A change of any fact changes
//! the hash of every container's objects, so policies follow.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use berth_core::instance::Arch;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Namespace, Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::{Config, Error, Result};

/// Where CoreDNS is in most clusters, and in ours.
const USUAL_DNS: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 10);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    /// Nodes, the API server's endpoints, load balancers, pod ranges.
    pub(crate) internal: BTreeSet<Ipv4Net>,
    pub(crate) dns: Option<Ipv4Addr>,
    pub(crate) architectures: Vec<Arch>,
    /// Whether every node can mount an image as a volume.
    pub(crate) image_volumes: bool,
}

pub(crate) async fn read(client: &Client, config: &Config) -> Result<Facts> {
    let all = ListParams::default();
    let (nodes_api, services_api) = (Api::<Node>::all(client.clone()), Api::<Service>::all(client.clone()));
    let slices_api = Api::<EndpointSlice>::namespaced(client.clone(), "default");
    let of_api = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    let (nodes, services, slices) =
        tokio::try_join!(nodes_api.list(&all), services_api.list(&all), slices_api.list(&of_api))?;

    let mut facts = Facts { image_volumes: nodes.iter().all(mounts_images), ..Facts::default() };
    for node in &nodes {
        let status = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        facts.internal.extend(status.filter_map(|address| single(&address.address)));
        let ranges = node.spec.iter().flat_map(|spec| spec.pod_cidrs.iter().flatten());
        facts.internal.extend(ranges.filter_map(|range| range.parse::<Ipv4Net>().ok()));
        let label = node.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.io/arch"));
        match label.map(String::as_str) {
            Some("amd64") => facts.architectures.push(Arch::Amd64),
            Some("arm64") => facts.architectures.push(Arch::Arm64),
            Some(_) | None => {}
        }
    }
    facts.architectures.sort_unstable();
    facts.architectures.dedup();
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    facts.internal.extend(endpoints.flat_map(|endpoint| &endpoint.addresses).filter_map(|address| single(address)));
    for service in &services {
        let balancer = service.status.iter().filter_map(|status| status.load_balancer.as_ref());
        let points = balancer.flat_map(|balancer| balancer.ingress.iter().flatten());
        facts.internal.extend(points.filter_map(|point| single(point.ip.as_ref()?)));
        let spec = service.spec.iter();
        let addresses = spec.flat_map(|spec| spec.cluster_ips.iter().chain(&spec.external_ips).flatten());
        // Service addresses inside the private ranges are excluded anyway; listing each would change every policy
        // whenever a service comes or goes.
        facts.internal.extend(addresses.filter_map(|address| single(address)).filter(|net| !net.addr().is_private()));
        let name = (service.metadata.namespace.as_deref(), service.metadata.name.as_deref());
        if name == (Some("kube-system"), Some("kube-dns")) {
            facts.dns = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_ref()?.parse().ok());
        }
    }
    facts.dns = config.isolation.dns_service.or(facts.dns).or(Some(USUAL_DNS));
    Ok(facts)
}

/// Names a cluster: its kube-system namespace lives as long as the cluster does.
pub(crate) async fn cluster_uid(client: &Client) -> Result<String> {
    let namespace = Api::<Namespace>::all(client.clone()).get("kube-system").await?;
    namespace.metadata.uid.ok_or_else(|| Error::Refused("a kube-system namespace without a UID".to_owned()))
}

/// Kubelets mount images by default from 1.35 on; of the runtimes, containerd can since 2.1 and CRI-O since 1.33. Nodes that
/// do not name a Kubernetes version are no real ones and not asked.
fn mounts_images(node: &Node) -> bool {
    let Some(info) = node.status.as_ref().and_then(|status| status.node_info.as_ref()) else { return true };
    let Some(kubelet) = version(info.kubelet_version.trim_start_matches('v')) else { return true };
    let runtime = match info.container_runtime_version.split_once("://") {
        Some(("containerd", text)) => version(text).is_some_and(|runtime| runtime >= (2, 1)),
        Some(("cri-o", text)) => version(text).is_some_and(|runtime| runtime >= (1, 33)),
        Some(_) | None => false,
    };
    kubelet >= (1, 35) && runtime
}

/// Major and minor of `1.36.3+k3s1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    let mut next = || parts.next()?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    Some((next()?, next()?))
}

fn single(address: &str) -> Option<Ipv4Net> {
    match address.parse().ok()? {
        IpAddr::V4(address) => Some(Ipv4Net::from(address)),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn which_nodes_mount_images() {
        for (kubelet, runtime, expected) in [
            ("v1.36.3", "containerd://2.4.2", true),
            ("v1.35.0+k3s1", "containerd://2.1.5-k3s1", true),
            ("v1.35.1-eks-1", "containerd://v2.10.0", true),
            ("v1.36.0", "cri-o://1.33.1", true),
            ("v1.34.9", "containerd://2.4.2", false),
            ("v1.36.3", "containerd://2.0.9", false),
            ("v1.36.3", "containerd://1.7.28", false),
            ("v1.36.0", "cri-o://1.32.5", false),
            ("v1.36.0", "docker://28.0.0", false),
            ("v1.36.0", "", false),
            ("fake", "kwok://0.8.0", true),
        ] {
            let info = json!({
                "kubeletVersion": kubelet, "containerRuntimeVersion": runtime, "architecture": "", "bootID": "",
                "kernelVersion": "", "kubeProxyVersion": "", "machineID": "", "operatingSystem": "", "osImage": "",
                "systemUUID": "",
            });
            let node = serde_json::from_value(json!({ "metadata": {}, "status": { "nodeInfo": info } })).unwrap();
            assert_eq!(mounts_images(&node), expected, "{kubelet} {runtime}");
        }
    }
}
