//! Names that must agree between the objects of one container, declared once.

use crate::id::{ContainerId, UserId};

/// On every object we make; the sweep looks for nothing else.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub const MANAGED_BY: &str = "berth";
pub const LABEL_CONTAINER: &str = "berth.dev/container";
/// Which Berth made it: two installations on one cluster leave each other's objects alone.
pub const LABEL_INSTALLATION: &str = "berth.dev/installation";
pub const LABEL_OWNER: &str = "berth.dev/owner";
/// On the StatefulSet, which is applied last: the hash of all objects that were applied before and with it.
pub const ANNOTATION_APPLIED: &str = "berth.dev/applied";
/// On the pod: the generation of the last intent that asked for a fresh pod. A running pod with another one is replaced.
pub const ANNOTATION_RESTART: &str = "berth.dev/restart";
/// Server-side apply's owner of our fields.
pub const FIELD_MANAGER: &str = "berth";

/// One namespace holds one container, so fixed names inside it are enough.
pub const WORKLOAD: &str = "machine";
/// The StatefulSet's only pod.
pub const POD: &str = "machine-0";
/// The tenant's container in the pod.
pub const MAIN: &str = "main";
/// Our own container beside it.
pub const AGENT: &str = "agent";
/// Where the cluster has no image volumes: copies the agent's program, and runs it in the tenant's image.
pub const INSTALL: &str = "install";
pub const SEED: &str = "seed";
pub const VOLUME_CLAIM: &str = "disk";
/// The tenant's image as a volume of the agent.
pub const IMAGE_VOLUME: &str = "image";
pub const PROGRAM_VOLUME: &str = "program";
/// The folder in which main and the agent meet.
pub const LINK_VOLUME: &str = "link";
/// The agent's host key and the gateways' public keys.
pub const KEYS_SECRET: &str = "agent";
pub const KEYS_VOLUME: &str = "keys";
pub const SERVICE: &str = "machine";
pub const SERVICE_ACCOUNT: &str = "machine";
pub const NETWORK_POLICY: &str = "berth";
pub const RESOURCE_QUOTA: &str = "berth";
pub const LIMIT_RANGE: &str = "berth";
/// Credentials of a private registry, where there is one.
pub const PULL_SECRET: &str = "registry";

/// Where Berth's own pods run.
pub const SYSTEM_NAMESPACE: &str = "berth-system";
/// Which of them are the gateway: policies let nobody else in.
pub const LABEL_APP: &str = "app.kubernetes.io/name";
pub const GATEWAY: &str = "berth-gateway";
/// The agent's port in every pod: uncommon, and refused as the target of a public rule.
pub const AGENT_PORT: u16 = 22022;

/// The names of one container's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub owner: UserId,
    pub id: ContainerId,
}

impl Names {
    pub fn new(owner: UserId, id: ContainerId) -> Self {
        Self { owner, id }
    }

    /// `compute-{user_id}-{id}`, as the specification has it.
    pub fn namespace(&self) -> String {
        format!("compute-{}-{}", self.owner, self.id)
    }

    /// `<id>.compute.<domain>`.
    pub fn hostname(&self, domain: &str) -> String {
        format!("{}.compute.{domain}", self.id)
    }
}

/// The container that a namespace's name speaks of, `None` for every name that is not ours.
pub fn parse_namespace(name: &str) -> Option<Names> {
    let (owner, id) = name.strip_prefix("compute-")?.split_once('-')?;
    let names = Names::new(owner.parse().ok()?, id.parse().ok()?);
    (names.namespace() == name).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_name_reads_back() {
        let names = Names::new(UserId(42), "bcdfghjk".parse().unwrap());
        assert_eq!(names.namespace(), "compute-42-bcdfghjk");
        assert_eq!(parse_namespace("compute-42-bcdfghjk"), Some(names));
        for other in [
            "compute-42",
            "compute-042-bcdfghjk",
            "compute-x-bcdfghjk",
            "compute-42-bcdfghj",
            "kube-system",
            "compute-+42-bcdfghjk",
        ] {
            assert_eq!(parse_namespace(other), None, "{other}");
        }
    }
}
