//! From inside a real container: nothing internal is reachable, DNS and the public internet are. Every forbidden target is first
//! shown to answer a pod without a policy, so that this test can fail.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::Ipv4Addr;

use berth_e2e::berthd::Berthd;
use berth_e2e::probe::{self, ECHO, Target, both, tcp};
use berth_e2e::public::{self, PublicHost};
use berth_e2e::{kubectl, until};
use serde_json::{Value, json};

const PORT: u16 = 8080;

/// A pod that no policy holds, and its Service: what an internal service looks like.
struct Internal {
    namespace: String,
    pod: String,
    service: String,
}

const INTERNAL: &str = "internal";

impl Internal {
    async fn start() -> Self {
        let namespace = format!("e2e-internal-{}", std::process::id());
        let ports = json!([
            { "name": "tcp", "port": PORT, "protocol": "TCP" },
            { "name": "udp", "port": PORT, "protocol": "UDP" },
        ]);
        let service_object = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": INTERNAL, "namespace": namespace },
            "spec": { "selector": { "app": INTERNAL }, "ports": ports },
        });
        let space = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        let items = json!([space, service_object, echo_pod(&namespace)]);
        let objects = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        // The first try may come before the namespace's own service account.
        until("the internal service to be made", 60, async || kubectl::apply(&objects).await).await;
        kubectl::run(&["-n", &namespace, "wait", "pod", INTERNAL, "--for=condition=Ready", "--timeout=60s"]).await;
        let (pod, service) = (address(&namespace, INTERNAL).await, service(&namespace, INTERNAL).await);
        Self { namespace, pod, service }
    }
}

fn echo_pod(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": INTERNAL, "namespace": namespace, "labels": { "app": INTERNAL } },
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "main", "image": "registry.berth.internal/berth/base:latest",
                "command": ["python3", "-c", ECHO, PORT.to_string()],
            }],
        },
    })
}

async fn address(namespace: &str, pod: &str) -> String {
    kubectl::run(&["-n", namespace, "get", "pod", pod, "-o", "jsonpath={.status.podIP}"]).await
}

async fn service(namespace: &str, name: &str) -> String {
    kubectl::run(&["-n", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}"]).await
}

async fn pod_of(label: &str) -> String {
    kubectl::run(&["-n", "kube-system", "get", "pods", "-l", label, "-o", "jsonpath={.items[0].status.podIP}"]).await
}

async fn forbidden(internal: &Internal, other_pod: &str) -> Vec<Target> {
    let node = kubectl::run(&["get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}"]).await;
    // The host's end of the node's link: where a database of the operator might listen.
    let host: Ipv4Addr = node.parse().unwrap();
    let host = Ipv4Addr::from(u32::from(host) - 1);
    let database = public::echo(host, 0);
    let host = host.to_string();
    let mut targets = vec![
        tcp("the API server's Service", &service("default", "kubernetes").await, 443),
        tcp("the API server on the node", &node, 6443),
        tcp("the kubelet", &node, 10250),
        tcp("the registry", &node, 5000),
        tcp("the DNS pod's health port", &pod_of("k8s-app=kube-dns").await, 8080),
        tcp("the metrics service", &service("kube-system", "metrics-server").await, 443),
    ];
    targets.extend(both("another tenant's pod", other_pod, PORT));
    targets.extend(both("an internal pod", &internal.pod, PORT));
    targets.extend(both("an internal Service", &internal.service, PORT));
    targets.extend(both("a database on the host", &host, database));
    targets.extend(public::FORBIDDEN.iter().flat_map(|address| both("a range that is not public", address, 80)));
    targets
}

#[tokio::test]
async fn only_dns_and_the_public_internet() {
    let public = PublicHost::start();
    let berthd = Berthd::start().await;
    let (ann, ben) = (berthd.user(71, "ann"), berthd.user(72, "ben"));
    let (own, other, internal) = tokio::join!(ann.create("own"), ben.create("other"), Internal::start());
    tokio::join!(ann.settled(&own, "running"), ben.settled(&other, "running"));
    let (own_space, other_space) = (ann.namespace(&own), ben.namespace(&other));
    for namespace in [&own_space, &other_space] {
        let listen = ["-n", namespace, "exec", "machine-0", "-c", "main", "--", "python3", "-c", ECHO];
        kubectl::run(&[&listen[..], &["8080", "in-background"]].concat()).await;
    }
    let other_pod = address(&other_space, "machine-0").await;
    let targets = forbidden(&internal, &other_pod).await;

    // A tenant's pod is behind its own policy too: only the host may show that its server answers.
    let (tenants, rest): (Vec<Target>, Vec<Target>) = targets.iter().cloned().partition(|t| t.what.contains("tenant"));
    let mut silent = vec![];
    for _ in 0..10 {
        let reached = probe::reached(&internal.namespace, INTERNAL, &rest).await;
        silent = rest.iter().filter(|target| !reached.contains(&target.what.as_str())).collect();
        if silent.is_empty() {
            break;
        }
    }
    assert!(silent.is_empty(), "these do not answer even without a policy, so nothing would be shown: {silent:?}");
    assert_eq!(tenants.len(), 2);
    assert!(tokio::net::TcpStream::connect((other_pod.as_str(), PORT)).await.is_ok(), "the tenant's server answers");

    let reached = probe::reached(&own_space, "machine-0", &targets).await;
    assert!(reached.is_empty(), "a container reaches {reached:?}");

    let dns = service("kube-system", "kube-dns").await;
    let mut allowed = both("the public internet", public::ADDRESS, public::PORT).to_vec();
    allowed.push(tcp("DNS", &dns, 53));
    assert_eq!(probe::reached(&own_space, "machine-0", &allowed).await.len(), 3);
    let api = service("default", "kubernetes").await;
    let resolved = kubectl::sh(&own_space, "getent hosts kubernetes.default.svc.cluster.local").await;
    assert!(resolved.is_some_and(|line| line.contains(&api)), "DNS does not answer");

    // From outside: no rule, no way in; a pod without a policy shows that the way exists.
    assert!(public.reaches(&internal.pod, PORT), "the public host reaches no pod at all: nothing is shown");
    assert!(!public.reaches(&address(&own_space, "machine-0").await, PORT), "a container is reachable from outside");

    // Berth's own namespace lets in nobody but its own.
    assert!(kubectl::apply(&echo_pod("berth-system")).await.is_some());
    kubectl::run(&["-n", "berth-system", "wait", "pod", INTERNAL, "--for=condition=Ready", "--timeout=60s"]).await;
    let system = both("Berth's own part", &address("berth-system", INTERNAL).await, PORT);
    let own_kind = probe::reached("berth-system", INTERNAL, &system).await;
    let others = probe::reached(&internal.namespace, INTERNAL, &system).await;
    kubectl::run(&["-n", "berth-system", "delete", "pod", INTERNAL, "--wait=false"]).await;
    assert_eq!((own_kind.len(), others), (2, vec![]));

    kubectl::run(&["delete", "namespace", &internal.namespace, "--wait=false"]).await;
    for (user, id) in [(&ann, &own), (&ben, &other)] {
        user.removed(id).await;
    }
}

/// Node addresses are facts that change: a node that joins is excluded from every policy.
#[tokio::test]
async fn a_node_that_joins_cannot_be_reached() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(73, "ann");
    let id = ann.create("one").await;
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    let policy = async || kubectl::run(&["-n", &namespace, "get", "networkpolicy", "berth", "-o", "json"]).await;
    // Of the range that the tests take out of the shipped list, so that nothing else of the policy covers it.
    let address = "198.51.100.77";
    assert!(!policy().await.contains(address));
    let name = format!("joined-{}", std::process::id());
    let node =
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name }, "spec": { "unschedulable": true } });
    assert!(kubectl::apply(&node).await.is_some());
    let status = json!({ "status": { "addresses": [{ "type": "InternalIP", "address": address }] } }).to_string();
    kubectl::run(&["patch", "node", &name, "--subresource=status", "--type=merge", "-p", &status]).await;
    let excluded = async || policy().await.contains("198.51.100.77/32").then_some(());
    until("the policy to exclude the new node", 60, excluded).await;
    kubectl::run(&["delete", "node", &name]).await;
    let forgotten = async || (!policy().await.contains(address)).then_some(());
    until("the policy to forget the node", 60, forgotten).await;
    let (_, body) = ann.get(&id).await;
    assert_eq!(body["status"], "running", "a policy change does not restart anything");
    ann.removed(&id).await;
}
