//! From inside a real container: nothing internal is reachable, the public internet and DNS are. Every forbidden target is
//! first shown to answer somebody else, so that this test can fail.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use berth_e2e::berthd::Berthd;
use berth_e2e::public::{self, PublicHost};
use berth_e2e::{kubectl, until};
use tokio::net::TcpStream;

/// A listener in a container, by what the base image holds.
const LISTEN: &str = "python3 -c \"import socket,os
s=socket.socket(); s.setsockopt(1,2,1); s.bind(('0.0.0.0',8080)); s.listen()
os.fork() and os._exit(0)
os.setsid()
[os.close(n) for n in (0,1,2)]
while True: s.accept()[0].close()\"";

async fn host_reaches(address: &str, port: u16) -> bool {
    let connect = TcpStream::connect((address, port));
    matches!(tokio::time::timeout(Duration::from_secs(5), connect).await, Ok(Ok(_)))
}

async fn container_reaches(namespace: &str, address: &str, port: u16) -> bool {
    kubectl::sh(namespace, &format!("timeout 2 bash -c '</dev/tcp/{address}/{port}'")).await.is_some()
}

#[tokio::test]
async fn only_dns_and_the_public_internet() {
    let _public = PublicHost::start();
    let berthd = Berthd::start().await;
    let (ann, ben) = (berthd.user(71, "ann"), berthd.user(72, "ben"));
    let (own, other) = (ann.create("own").await, ben.create("other").await);
    ann.settled(&own, "running").await;
    ben.settled(&other, "running").await;
    let (own_space, other_space) = (ann.namespace(&own), ben.namespace(&other));
    kubectl::sh(&other_space, LISTEN).await.expect("a listener starts");
    let other_pod =
        kubectl::run(&["-n", &other_space, "get", "pod", "machine-0", "-o", "jsonpath={.status.podIP}"]).await;
    let node = kubectl::run(&["get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}"]).await;
    let dns_pod = kubectl::run(&[
        "-n",
        "kube-system",
        "get",
        "pods",
        "-l",
        "k8s-app=kube-dns",
        "-o",
        "jsonpath={.items[0].status.podIP}",
    ])
    .await;
    let listening = async || host_reaches(&other_pod, 8080).await.then_some(());
    until("the other tenant's listener", 20, listening).await;

    for (what, address, port) in [
        ("another tenant's port", other_pod.as_str(), 8080),
        ("the API server on the node", &node, 6443),
        ("the kubelet", &node, 10250),
        ("the registry", &node, 5000),
        ("the DNS pod's health port", &dns_pod, 8080),
    ] {
        assert!(host_reaches(address, port).await, "{what} does not answer even the host: nothing is shown");
        assert!(!container_reaches(&own_space, address, port).await, "{what} can be reached");
    }
    let api_service = kubectl::run(&["get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"]).await;
    for (what, address, port) in
        [("the API server's Service", api_service.as_str(), 443), ("a metadata service", "169.254.169.254", 80)]
    {
        assert!(!container_reaches(&own_space, address, port).await, "{what} can be reached");
    }
    assert!(container_reaches(&own_space, public::ADDRESS, 80).await, "the public host cannot be reached");
    let resolved = kubectl::sh(&own_space, "getent hosts kubernetes.default.svc.cluster.local").await;
    assert!(resolved.is_some_and(|line| line.contains(&api_service)), "DNS does not answer");
    ann.delete(&own).await;
    ben.delete(&other).await;
    for namespace in [&own_space, &other_space] {
        until("the namespace to go", 60, async || (!kubectl::exists("namespace", namespace).await).then_some(())).await;
    }
}
