//! Routes of containers that are not there: each in a namespace of its own, as the controller writes it, with an endpoint slice as
//! its Service would have one. Made through the API server, so that the gateway learns of them as of any other.

use std::net::{IpAddr, SocketAddrV4};

use anyhow::Context;
use berth_core::id::{ContainerId, UserId};
use berth_core::names::{AGENT_PORT, LABEL_MANAGED_BY, MANAGED_BY, Names, SERVICE};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

const OWNER: UserId = UserId(49);
const AT_ONCE: usize = 32;

/// As berthd names it by default.
pub(crate) fn hostname(id: ContainerId) -> String {
    Names::new(OWNER, id).hostname("berth.local")
}

pub(crate) fn namespace(id: ContainerId) -> String {
    Names::new(OWNER, id).namespace()
}

/// Adds one for each number of `range`, with one rule for port 80 that leads to `upstream`.
pub(crate) async fn make(
    client: &Client,
    range: std::ops::Range<u64>,
    upstream: SocketAddrV4,
) -> anyhow::Result<Vec<ContainerId>> {
    // Apart from each other, as random ones are.
    let id = |number: u64| ContainerId::from_random(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let one = async |number| route(client, id(number), upstream).await.with_context(|| format!("route {number}"));
    stream::iter(range).map(one).buffered(AT_ONCE).try_collect().await
}

/// As rules name it.
pub(crate) const RAW: u16 = 8000;

/// Adds one that has an address of its own, with a rule for raw TCP.
pub(crate) async fn make_raw(client: &Client, own: IpAddr, upstream: SocketAddrV4) -> anyhow::Result<()> {
    // Beyond those of `make`.
    let id = ContainerId::from_random(u64::MAX);
    let mut route = spec(id, upstream.port());
    route["spec"]["rules"] = json!([{ "port": RAW, "targetPort": upstream.port(), "protocol": "tcp" }]);
    route["spec"]["address"] = json!(own);
    create(client, id, upstream, route).await
}

async fn route(client: &Client, id: ContainerId, upstream: SocketAddrV4) -> anyhow::Result<ContainerId> {
    create(client, id, upstream, spec(id, upstream.port())).await?;
    Ok(id)
}

async fn create(client: &Client, id: ContainerId, upstream: SocketAddrV4, route: Value) -> anyhow::Result<()> {
    let (namespace, post) = (namespace(id), PostParams::default());
    let object: Namespace = serde_json::from_value(json!({ "metadata": { "name": namespace } }))?;
    Api::<Namespace>::all(client.clone()).create(&post, &object).await?;
    let slice: EndpointSlice = serde_json::from_value(slice(upstream))?;
    Api::<EndpointSlice>::namespaced(client.clone(), &namespace).create(&post, &slice).await?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("berth.dev", "v1", "Route"));
    let object: DynamicObject = serde_json::from_value(route)?;
    Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &kind).create(&post, &object).await?;
    Ok(())
}

fn slice(upstream: SocketAddrV4) -> Value {
    json!({
        "metadata": { "name": SERVICE, "labels": { "kubernetes.io/service-name": SERVICE } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [upstream.ip()] }],
        "ports": [],
    })
}

fn spec(id: ContainerId, target: u16) -> Value {
    json!({
        "apiVersion": "berth.dev/v1",
        "kind": "Route",
        "metadata": { "name": id, "labels": { LABEL_MANAGED_BY: MANAGED_BY } },
        "spec": {
            "container": id,
            "owner": { "id": OWNER.0, "username": "bench" },
            "hostname": hostname(id),
            "rules": [{ "port": 80, "targetPort": target, "protocol": "http" }],
            "ports": format!("80:{target}"),
            "ssh": { "enabled": false, "port": AGENT_PORT, "keys": [] },
            "generation": 1,
        },
    })
}
