//! Settings of the controller.

use std::net::Ipv4Addr;

use berth_core::isolation::Isolation as Shown;
use berth_core::registry::Credentials;
use ipnet::Ipv4Net;
use secrecy::SecretString;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// CPU request in percent of the type's cores: small types share nodes.
    pub cpu_request_percent: u32,
    /// MiB a container may write outside its disk.
    pub ephemeral_storage_mb: u32,
    pub runtime_class: Option<String>,
    /// Absent: the cluster's default.
    pub storage_class: Option<String>,
    pub isolation: Isolation,
    /// The agent, which is part of every pod.
    pub agent_image: String,
    pub image_volumes: ImageVolumes,
    /// SSH into containers; absent: their agents do not listen.
    pub ssh: Option<Ssh>,
    /// Runs in the canary of `preflight`; needs bash, awk and curl.
    pub canary_image: String,
    /// Containers worked on at once.
    pub workers: usize,
    /// Of a private registry, for the nodes. Set by berthd, which reads the password.
    #[serde(skip)]
    pub pulls: Option<Pulls>,
}

/// With which credentials nodes pull from which registry.
#[derive(Debug, Clone)]
pub struct Pulls {
    /// As references name it.
    pub registry: String,
    pub credentials: Credentials,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Isolation {
    pub user_namespaces: UserNamespaces,
    pub network_policy: NetworkPolicies,
    /// Ranges that containers must not reach, beside the shipped list and the cluster's own addresses.
    pub egress_except: Vec<Ipv4Net>,
    /// Ranges of the shipped list that they may reach.
    pub egress_allow: Vec<Ipv4Net>,
    /// Address of the cluster's DNS service; absent: asked of the cluster.
    pub dns_service: Option<Ipv4Addr>,
}

impl Isolation {
    /// Whether what a cluster has shown is what is asked of it.
    pub(crate) fn accepts(&self, shown: Shown) -> bool {
        (shown.policies_enforced || self.network_policy == NetworkPolicies::Unenforced)
            && (shown.user_namespaces || self.user_namespaces == UserNamespaces::Preferred)
    }
}

/// What lets a gateway open connections to agents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// The public halves of the gateways' ed25519 key, as lines of `.pub` files: the current one, and the previous while it is
    /// being replaced.
    pub gateway_keys: String,
    /// Every container's host key is made from this and its id: random, of at least 32 bytes, and never changed, because
    /// changing it changes them all.
    pub host_key_secret: SecretString,
}

/// How the agent comes to the files of a container's image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageVolumes {
    /// The image is a volume, where every node can do that.
    #[default]
    Auto,
    /// The agent runs in the image before the container starts, which takes some seconds longer.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserNamespaces {
    #[default]
    Required,
    /// Containers run without one where the cluster has none.
    Preferred,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkPolicies {
    /// Nothing is started before a canary has shown that policies are enforced.
    #[default]
    Enforced,
    Unenforced,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cpu_request_percent: 10,
            ephemeral_storage_mb: 4096,
            runtime_class: None,
            storage_class: None,
            isolation: Isolation::default(),
            agent_image: "registry.berth.internal/berth/agent:latest".to_owned(),
            image_volumes: ImageVolumes::default(),
            ssh: None,
            canary_image: "registry.berth.internal/berth/base:latest".to_owned(),
            workers: 8,
            pulls: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_must_have_shown() {
        use NetworkPolicies::{Enforced, Unenforced};
        use UserNamespaces::{Preferred, Required};
        for (network_policy, user_namespaces, policies, users, accepted) in [
            (Enforced, Required, true, true, true),
            (Enforced, Required, false, true, false),
            (Enforced, Required, true, false, false),
            (Enforced, Preferred, true, false, true),
            (Enforced, Preferred, false, false, false),
            (Unenforced, Required, false, true, true),
            (Unenforced, Required, false, false, false),
            (Unenforced, Preferred, false, false, true),
        ] {
            let asked = Isolation { network_policy, user_namespaces, ..Isolation::default() };
            let shown = Shown { policies_enforced: policies, user_namespaces: users };
            assert_eq!(asked.accepts(shown), accepted, "{asked:?} {shown:?}");
        }
    }
}
