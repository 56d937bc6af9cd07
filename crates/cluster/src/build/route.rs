//! The route: what the gateway is told of the container.

use berth_core::container::Container;
use berth_core::exposure::Exposure;
use berth_core::ingress;
use berth_core::lifecycle::Desired;
use berth_core::names::AGENT_PORT;
use berth_route::{Key, Owner, Protocol, Route, RouteSpec, Rule, Ssh};
use kube::Resource;
use serde_json::{Value, json};

use super::{Context, ssh};

pub(super) fn route(container: &Container, exposure: &Exposure, context: &Context<'_>, labels: &Value) -> Value {
    let rule = |rule: &ingress::Rule| Rule {
        port: rule.port.get(),
        target_port: rule.target.get(),
        protocol: match rule.protocol {
            ingress::Protocol::Http => Protocol::Http,
            ingress::Protocol::Tcp => Protocol::Tcp,
        },
    };
    let rules: Vec<Rule> = exposure.rules.iter().map(rule).collect();
    let keys = exposure.keys.iter().map(|accepted| Key {
        id: accepted.id.0,
        fingerprint: accepted.key.fingerprint().to_owned(),
        public_key: accepted.key.without_comment(),
    });
    let host_key = context.config.ssh.as_ref().and_then(|ssh| ssh::public_host_key(ssh, container));
    let spec = RouteSpec {
        container: container.id.to_string(),
        owner: Owner { id: container.owner.0, username: container.owner_username.to_string() },
        hostname: container.names().hostname(context.domain),
        ports: RouteSpec::summary(&rules),
        rules,
        ssh: Ssh { enabled: container.spec.ssh_enabled, port: AGENT_PORT, keys: keys.collect(), host_key },
        address: container.external_ip,
        stopped: container.desired == Desired::Stopped,
        generation: container.generation.0,
    };
    json!({
        "apiVersion": Route::api_version(&()),
        "kind": Route::kind(&()),
        "metadata": { "name": container.id.to_string(), "labels": labels },
        "spec": spec,
    })
}
