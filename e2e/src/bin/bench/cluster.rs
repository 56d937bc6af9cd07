//! The cluster as its administrator sees it: the peer, a bare pod that the API server is asked for without Berth, and
//! watches that stand before what they time begins.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, bail};
use berth_core::names::{MAIN, POD};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

/// Nothing here takes this long on a node that works.
const DEADLINE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

pub(crate) struct Cluster(Client);

impl Cluster {
    pub(crate) async fn connect() -> anyhow::Result<Self> {
        let client = Client::try_default().await;
        // The library's own error says the same thing five times.
        let client = client.ok().context("KUBECONFIG names no readable kubeconfig; `make bench` sets it")?;
        client.apiserver_version().await.context("the Kubernetes API server does not answer")?;
        Ok(Self(client))
    }

    pub(crate) fn client(&self) -> Client {
        self.0.clone()
    }

    /// This machine's own address towards the cluster, which, other than loopback, may stand for a pod's.
    pub(crate) async fn own_address(&self) -> anyhow::Result<Ipv4Addr> {
        let config = Config::infer().await.ok().context("KUBECONFIG names no readable kubeconfig")?;
        let server = config.cluster_url.authority().context("the API server has no address")?.to_string();
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(&server)?;
        match socket.local_addr()?.ip() {
            IpAddr::V4(ip) if !ip.is_loopback() => Ok(ip),
            other => bail!("towards the cluster this machine is {other}, which no pod can be"),
        }
    }

    pub(crate) fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.0.clone(), namespace)
    }

    pub(crate) fn all_pods(&self) -> Api<Pod> {
        Api::all(self.0.clone())
    }

    /// A namespace for peers, with the service account that pods need.
    pub(crate) async fn make_namespace(&self, name: &str) -> anyhow::Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
        Api::<Namespace>::all(self.0.clone()).create(&PostParams::default(), &namespace).await?;
        let accounts = Api::<ServiceAccount>::namespaced(self.0.clone(), name);
        until("the namespace's service account", async || Ok(accounts.get_opt("default").await?.is_some())).await
    }

    pub(crate) async fn remove_namespace(&self, name: &str) -> anyhow::Result<()> {
        Api::<Namespace>::all(self.0.clone()).delete(name, &DeleteParams::background()).await?;
        self.gone(name).await
    }

    /// Waits until a namespace is gone and its disks with it, so that the next sample has the node to itself.
    pub(crate) async fn gone(&self, name: &str) -> anyhow::Result<()> {
        let (namespaces, volumes) =
            (Api::<Namespace>::all(self.0.clone()), Api::<PersistentVolume>::all(self.0.clone()));
        let of_name = |volume: &PersistentVolume| {
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            claim.and_then(|claim| claim.namespace.as_deref()) == Some(name)
        };
        until("a namespace and its disks to go", async || {
            let left = namespaces.get_opt(name).await?.is_some();
            Ok(!left && !volumes.list(&ListParams::default()).await?.iter().any(of_name))
        })
        .await
    }

    /// What runs in a container of `namespace`, as a bare pod: image, sizes and fences are the same, a disk it has not.
    pub(crate) async fn peer_of(&self, namespace: &str) -> anyhow::Result<Pod> {
        let ours = self.pods(namespace).get(POD).await.context("the pod to copy")?;
        let mut spec = ours.spec.context("a pod without a spec")?;
        spec.containers.retain(|container| container.name == MAIN);
        spec.containers.iter_mut().for_each(|container| container.volume_mounts = None);
        (spec.volumes, spec.init_containers) = (None, None);
        (spec.node_name, spec.hostname, spec.subdomain) = (None, None, None);
        (spec.service_account, spec.service_account_name) = (None, None);
        let mut peer: Pod = serde_json::from_value(json!({ "metadata": { "name": "peer" } }))?;
        peer.spec = Some(spec);
        Ok(peer)
    }
}

/// What happens to one pod from now on; what is there already comes first.
pub(crate) struct Watch(Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Pod>>> + Send>>);

impl Watch {
    pub(crate) async fn open(pods: &Api<Pod>, name: &str) -> anyhow::Result<Self> {
        let one = WatchParams::default().fields(&format!("metadata.name={name}"));
        Ok(Self(pods.watch(&one, "0").await?.boxed()))
    }

    pub(crate) async fn ready(&mut self) -> anyhow::Result<Instant> {
        self.until("a pod to be ready", |event| match event {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => is_ready(pod),
            WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) | WatchEvent::Error(_) => false,
        })
        .await
    }

    pub(crate) async fn deleted(&mut self) -> anyhow::Result<Instant> {
        self.until("a pod to go", |event| matches!(event, WatchEvent::Deleted(_))).await
    }

    async fn until(&mut self, what: &str, check: impl Fn(&WatchEvent<Pod>) -> bool) -> anyhow::Result<Instant> {
        let found = async {
            while let Some(event) = self.0.next().await.transpose()? {
                if let WatchEvent::Error(status) = &event {
                    bail!("a watch broke: {}", status.message);
                }
                if check(&event) {
                    return Ok(Instant::now());
                }
            }
            bail!("a watch ended")
        };
        timeout(DEADLINE, found).await.with_context(|| format!("gave up waiting for {what}"))?
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

async fn until(what: &str, check: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + DEADLINE;
    while !check().await? {
        anyhow::ensure!(Instant::now() < deadline, "gave up waiting for {what}");
        sleep(POLL).await;
    }
    Ok(())
}
