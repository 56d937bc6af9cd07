//! Shows, instead of assuming, that this cluster enforces network policies and gives pods a user namespace: of two pods that
//! call the API server, a policy forbids it to one.

use std::time::Duration;

use berth_core::isolation::Isolation;
use berth_core::lifecycle::PodStage;
use berth_core::names::{LABEL_INSTALLATION, MAIN};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::config::UserNamespaces;
use crate::pull_secret::PullSecret;
use crate::{Config, Error, Result, observe};

const STARTS: Duration = Duration::from_secs(120);
const LABEL_CANARY: &str = "berth.dev/canary";
const POLL: Duration = Duration::from_millis(250);

/// Runs in a namespace of its own, which is removed whatever happened; one that a kill left behind is removed by the next
/// run of the same `installation` (`None`: of a preflight).
pub(crate) async fn run(client: &Client, config: &Config, installation: Option<&str>) -> Result<Isolation> {
    let namespaces = Api::<Namespace>::all(client.clone());
    let whose = installation.map_or(format!("!{LABEL_INSTALLATION}"), |id| format!("{LABEL_INSTALLATION}={id}"));
    let left = ListParams::default().labels(&format!("{LABEL_CANARY}=true,{whose}"));
    for namespace in namespaces.list(&left).await? {
        if namespace.metadata.deletion_timestamp.is_none() {
            namespaces.delete(&namespace.name_any(), &DeleteParams::background()).await?;
        }
    }
    match in_namespace(client, config, installation, true).await {
        // A runtime without user namespaces does not start the pod at all.
        Err(Error::Deadline(_)) if config.isolation.user_namespaces == UserNamespaces::Preferred => {
            in_namespace(client, config, installation, false).await
        }
        shown => shown,
    }
}

async fn in_namespace(client: &Client, config: &Config, installation: Option<&str>, fenced: bool) -> Result<Isolation> {
    let namespaces = Api::<Namespace>::all(client.clone());
    let name = format!("berth-canary-{:08x}", rand::random::<u32>());
    let mut labels = json!({ LABEL_CANARY: "true", "pod-security.kubernetes.io/enforce": "baseline" });
    if let Some(installation) = installation {
        labels[LABEL_INSTALLATION] = json!(installation);
    }
    let namespace = serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } }))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    let shown = show(client, config, &name, fenced).await;
    namespaces.delete(&name, &DeleteParams::background()).await?;
    shown
}

async fn show(client: &Client, config: &Config, namespace: &str, fenced: bool) -> Result<Isolation> {
    let policies = Api::<NetworkPolicy>::namespaced(client.clone(), namespace);
    let deny = json!({
        "metadata": { "name": "deny" },
        "spec": { "podSelector": { "matchLabels": { "role": "denied" } }, "policyTypes": ["Egress"], "egress": [] },
    });
    policies.create(&PostParams::default(), &serde_json::from_value(deny)?).await?;
    if let Some(pulls) = &config.pulls {
        let secret = serde_json::from_value(PullSecret::new(pulls, &json!({})).exposed().body)?;
        Api::<Secret>::namespaced(client.clone(), namespace).create(&PostParams::default(), &secret).await?;
    }
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let make = |role: &'static str, command: String| {
        let pod = serde_json::from_value::<Pod>(pod(role, &command, config, fenced));
        let pods = pods.clone();
        async move { Ok::<_, Error>(pods.create(&PostParams::default(), &pod?).await?) }
    };
    let reach = "curl -sk -o /dev/null -m 3 https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/";
    // Exit 3: reached, but without a user namespace. Exit 4: never reached.
    let identity = "awk '$1 == 0 && $2 == 0 { found = 1 } END { exit found }' /proc/self/uid_map || exit 3";
    let allowed = format!("for try in 1 2 3 4 5; do {reach} && {{ {identity}; exit 0; }}; sleep 0.5; done; exit 4");
    make("allowed", allowed).await?;
    make("denied", format!("{reach} && exit 0; exit 4")).await?;
    let ended = |pod: &Pod| {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        Some(statuses.first()?.state.as_ref()?.terminated.as_ref()?.exit_code)
    };
    let control = wait(&pods, "allowed", "the canary's allowed pod to end", ended).await?;
    if control == 4 {
        return Err(Error::Refused("a pod cannot reach the API server even where no policy forbids it".to_owned()));
    }
    let denied = wait(&pods, "denied", "the canary's denied pod to end", ended).await?;
    Ok(Isolation { policies_enforced: denied == 4, user_namespaces: control == 0 })
}

fn pod(role: &str, command: &str, config: &Config, fenced: bool) -> Value {
    let mut pod = json!({
        "metadata": { "name": role, "labels": { "role": role } },
        "spec": {
            "restartPolicy": "Never",
            "hostUsers": !fenced,
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": MAIN,
                "image": config.canary_image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["bash", "-c", command],
            }],
        },
    });
    if config.pulls.is_some() {
        pod["spec"]["imagePullSecrets"] = PullSecret::names();
    }
    pod
}

async fn wait<T>(pods: &Api<Pod>, name: &str, what: &'static str, check: impl Fn(&Pod) -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + STARTS;
    loop {
        let pod = pods.get_opt(name).await?;
        if let Some(found) = pod.as_ref().and_then(&check) {
            return Ok(found);
        }
        if let Some(PodStage::ImagePullFailed { message }) = pod.as_ref().map(|pod| observe::pod_facts(pod).stage) {
            return Err(Error::Refused(format!("the canary's image cannot be pulled: {message}")));
        }
        if Instant::now() > deadline {
            return Err(Error::Deadline(what));
        }
        tokio::time::sleep(POLL).await;
    }
}
