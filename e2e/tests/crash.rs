//! berthd is killed with SIGKILL at every request that changes the cluster, for create, stop, start and delete, on both sides of the
//! API server's work. Started again over the same rows it converges; nothing is orphaned, doubled or lost.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "../../crates/store/tests/conformance/server.rs"]
mod postgres;

use berth_e2e::api_proxy::{ApiProxy, Side};
use berth_e2e::berthd::{Berthd, Setup, service_kubeconfig};
use berth_e2e::{kubectl, until};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use reqwest::Method;
use serde_json::json;

/// No operation changes the cluster more often than this.
const MOST: usize = 20;

/// Four at once, each with a user, a proxy and a berthd of its own: the node has time while one of them waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_step_it_converges() {
    let server = postgres::Server::start().await;
    let (before, after) = (server.database("before").await, server.database("after").await);
    tokio::join!(
        every_step(81, Side::Before, None),
        every_step(82, Side::After, None),
        every_step(83, Side::Before, Some(before)),
        every_step(84, Side::After, Some(after)),
    );
}

struct Lab {
    berthd: Berthd,
    proxy: ApiProxy,
    client: Client,
    user: i64,
}

impl Lab {
    /// Does something while the trap is set, starts berthd again if it sprang, and waits for what must come of it.
    /// Whether it sprang.
    async fn through(&mut self, k: usize, side: Side, act: Act<'_>) -> bool {
        self.proxy.kill_at(k, side, self.berthd.pid().unwrap());
        self.act(&act).await;
        let settled = async || (self.proxy.has_sprung() || self.is_settled(&act).await).then_some(());
        until("the trap to spring or the work to be done", 120, settled).await;
        let sprang = !self.proxy.disarm();
        if sprang {
            self.berthd.kill();
            self.berthd.launch().await;
            // The answer may have been lost with the process: a client asks again, and nothing is done twice.
            self.act(&act).await;
        }
        let what = format!("{act:?} to converge after a kill at change {k} ({side:?})");
        until(&what, 120, async || self.is_settled(&act).await.then_some(())).await;
        sprang
    }

    async fn act(&self, act: &Act<'_>) {
        let user = self.berthd.user(self.user, "ann");
        let path = "/compute/containers";
        match act {
            Act::Create(name) => {
                let body = json!({ "name": name, "memory_mb": 64, "storage_gb": 1 });
                user.try_create(name, &body).await;
            }
            Act::Stop(id) => user.try_call(Method::POST, &format!("{path}/{id}/stop")).await,
            Act::Start(id) => user.try_call(Method::POST, &format!("{path}/{id}/start")).await,
            Act::Delete(id) => user.try_call(Method::DELETE, &format!("{path}/{id}")).await,
        }
    }

    async fn is_settled(&self, act: &Act<'_>) -> bool {
        let user = self.berthd.user(self.user, "ann");
        let Some(list) = user.try_list().await else { return false };
        let quiet = |status: &str| list.len() == 1 && list[0]["status"] == status && list[0]["transition"].is_null();
        match act {
            Act::Create(_) | Act::Start(_) => quiet("running"),
            Act::Stop(id) => quiet("stopped") && !self.has_pod(&user.namespace(id)).await,
            Act::Delete(_) => list.is_empty() && self.left().await.is_empty(),
        }
    }
}

#[derive(Debug)]
enum Act<'a> {
    Create(&'a str),
    Stop(&'a str),
    Start(&'a str),
    Delete(&'a str),
}

async fn every_step(user: i64, side: Side, database: Option<String>) {
    let proxy = ApiProxy::start(&service_kubeconfig(), &format!("compute-{user}-")).await;
    let mut berthd = Berthd::set_up(Setup { kubeconfig: Some(proxy.kubeconfig()), database, ..Setup::default() });
    berthd.launch().await;
    let client = Client::try_default().await.unwrap();
    let mut lab = Lab { berthd, proxy, client, user };
    for k in 1..=MOST {
        let name = format!("at-{k}");
        let mut sprang = lab.through(k, side, Act::Create(&name)).await;
        let (_, body) = lab.berthd.user(user, "ann").call(Method::GET, "/compute/containers", None).await;
        let id = body["containers"][0]["id"].as_str().unwrap().to_owned();
        let namespace = lab.berthd.user(user, "ann").namespace(&id);
        let mark = format!("test ! -e /root/mark && echo {k} > /root/mark && sync");
        assert!(kubectl::sh(&namespace, &mark).await.is_some());
        let uid = kubectl::run(&["get", "namespace", &namespace, "-o", "jsonpath={.metadata.uid}"]).await;
        sprang |= lab.through(k, side, Act::Stop(&id)).await;
        sprang |= lab.through(k, side, Act::Start(&id)).await;
        assert_eq!(kubectl::sh(&namespace, "cat /root/mark").await, Some(k.to_string()), "the disk is the same");
        let now = kubectl::run(&["get", "namespace", &namespace, "-o", "jsonpath={.metadata.uid}"]).await;
        assert_eq!(now, uid, "the namespace was never made again");
        sprang |= lab.through(k, side, Act::Delete(&id)).await;
        if !sprang {
            assert!(k > 5, "no change in round {k}: the proxy does not see what berthd does");
            return;
        }
    }
    panic!("an operation makes more than {MOST} changes");
}

impl Lab {
    /// Namespaces and volumes of this user that are still there. Asked through one client: this is polled, and starting kubectl
    /// each time would leave the node no time for its work.
    async fn left(&self) -> Vec<String> {
        let prefix = format!("compute-{}-", self.user);
        let all = ListParams::default();
        let namespaces = Api::<Namespace>::all(self.client.clone()).list(&all).await.unwrap();
        let volumes = Api::<PersistentVolume>::all(self.client.clone()).list(&all).await.unwrap();
        let namespaces = namespaces.iter().map(ResourceExt::name_any).filter(|name| name.starts_with(&prefix));
        let claimed = |volume: &PersistentVolume| {
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()?.namespace.clone());
            claim.is_some_and(|namespace| namespace.starts_with(&prefix)).then(|| volume.name_any())
        };
        namespaces.chain(volumes.iter().filter_map(claimed)).collect()
    }

    async fn has_pod(&self, namespace: &str) -> bool {
        Api::<Pod>::namespaced(self.client.clone(), namespace).get_opt("machine-0").await.unwrap().is_some()
    }
}
