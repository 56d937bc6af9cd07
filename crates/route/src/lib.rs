//! The custom resource `routes.berth.dev`: everything the gateway has to know of one container, and all it ever reads of it
//! beside the addresses of its pod. The controller writes one per container, in the container's namespace, named by its id.
//! The gateway holds no credential of the database; this type is the whole contract between the two.
//!
//! `deploy/crd-routes.yaml` is this type's definition; a test keeps them equal.

use std::net::IpAddr;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How one container can be reached. Written by Berth's controller alone.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "berth.dev",
    version = "v1",
    kind = "Route",
    plural = "routes",
    namespaced,
    category = "berth",
    doc = "How one container can be reached. Written by Berth's controller, read by its gateway.",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Owner","type":"string","jsonPath":".spec.owner.username"}"#,
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".spec.hostname"}"#,
    printcolumn = r#"{"name":"SSH","type":"boolean","jsonPath":".spec.ssh.enabled"}"#,
    printcolumn = r#"{"name":"Ports","type":"string","jsonPath":".spec.ports"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct RouteSpec {
    /// The container's id, which is the route's name too.
    #[schemars(regex(pattern = r"^[2-9b-df-hj-km-np-tv-z]{8}$"))]
    pub container: String,
    pub owner: Owner,
    /// The exact host name that leads here.
    #[schemars(length(min = 1, max = 253))]
    pub hostname: String,
    /// One rule a port.
    #[schemars(length(max = 1024))]
    pub rules: Vec<Rule>,
    /// The rules as a person reads them, for `kubectl get routes`.
    pub ports: String,
    pub ssh: Ssh,
    /// The gateway's address that is the container's own among its owner's.
    #[schemars(with = "Option<String>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Its owner stopped it: there is no pod, and none is coming.
    #[serde(default)]
    pub stopped: bool,
    /// Of the container's row: counts the intents of its owner.
    #[schemars(range(min = 1))]
    pub generation: i64,
}

/// Whose container it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    pub id: i64,
    pub username: String,
}

/// A port of the gateway and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    pub port: u16,
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    pub target_port: u16,
    pub protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Http,
    Tcp,
}

/// Who may log in, and where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ssh {
    pub enabled: bool,
    /// The agent's port in the pod.
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    pub port: u16,
    /// Accepted while SSH is enabled.
    #[schemars(length(max = 1024))]
    pub keys: Vec<Key>,
    /// The agent's own, type and base64; absent where agents do not serve SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    pub id: i64,
    /// `SHA256:…`
    pub fingerprint: String,
    /// Type and base64, without a comment.
    pub public_key: String,
}

impl RouteSpec {
    /// `80 443:8443 8022:22/tcp`: the target where it differs, the protocol where it is not HTTP.
    pub fn summary(rules: &[Rule]) -> String {
        let one = |rule: &Rule| {
            let target = if rule.port == rule.target_port { String::new() } else { format!(":{}", rule.target_port) };
            let protocol = match rule.protocol {
                Protocol::Http => "",
                Protocol::Tcp => "/tcp",
            };
            format!("{}{target}{protocol}", rule.port)
        };
        rules.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_definition_is_the_one_that_is_deployed() {
        let deployed: Value = serde_saphyr::from_str(include_str!("../../../deploy/crd-routes.yaml")).unwrap();
        let now = serde_json::to_value(Route::crd()).unwrap();
        assert_eq!(
            deployed, now,
            "cargo run -p berth-route --example crd > deploy/crd-routes.yaml brings it up to date"
        );
    }

    #[test]
    fn rules_read_well() {
        let rule = |port, target_port, protocol| Rule { port, target_port, protocol };
        let rules = [rule(80, 80, Protocol::Http), rule(443, 8443, Protocol::Http), rule(8022, 22, Protocol::Tcp)];
        assert_eq!(RouteSpec::summary(&rules), "80 443:8443 8022:22/tcp");
        assert_eq!(RouteSpec::summary(&[]), "");
    }
}
