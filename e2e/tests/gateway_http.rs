//! Containers and the API by name through the gateway, with clients that people use.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use berth_e2e::berthd::{Berthd, Setup, service_kubeconfig};
use berth_e2e::tcp_proxy::TcpProxy;
use berth_e2e::until;
use berth_e2e::web::{answers, close, create, curl, get, host, open};
use futures::{SinkExt, StreamExt};
use reqwest::StatusCode;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream};

/// What a change of rules may take.
const PROMISED: Duration = Duration::from_secs(5);
const GIB: u64 = 1 << 30;

async fn socket(berthd: &Berthd, host: &str, path: &str) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(berthd.authority()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect((berthd.gateway(), 443)).await.unwrap();
    let connector = Some(Connector::Rustls(Arc::new(config)));
    let url = format!("wss://{host}{path}");
    tokio_tungstenite::client_async_tls_with_config(url, stream, None, connector).await.expect("a WebSocket").0
}

async fn echo(berthd: &Berthd, url: &str, words: &[&str]) -> Value {
    let (status, body) = get(berthd, url, words).await;
    assert_eq!(status, 200, "{url} {words:?}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_container_is_reached_by_http_and_https() {
    let berthd = Berthd::start_with_gateway(&[]).await;
    let ann = berthd.user(400, "ann");
    let id = create(&ann, "web").await;
    let host = host(&id);
    let unknown = get(&berthd, "http://bcdfghjk.compute.berth.local/", &[]).await;
    assert_eq!(unknown.0, 404);
    assert_eq!(
        get(&berthd, &format!("http://{host}/"), &[]).await,
        unknown,
        "nothing tells it from one that is not there"
    );
    for port in [80, 443, 8080] {
        open(&ann, &id, port).await;
    }
    for url in [
        format!("http://{host}/"),
        format!("https://{host}/"),
        format!("http://{host}:8080/"),
        format!("https://{host}:8080/"),
    ] {
        answers(&berthd, &url, 200).await;
    }
    assert_eq!(get(&berthd, &format!("http://{host}:8081/"), &[]).await, unknown, "no rule");

    let url = format!("https://{host}/echo?secret");
    for (flag, front) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let (_, version) =
            get(&berthd, &url, &[flag, "--output", "/dev/null", "--write-out", "%{http_version}\n200"]).await;
        assert_eq!(version.lines().next_back(), Some(front));
        let told = echo(
            &berthd,
            &url,
            &[
                flag,
                "-H",
                "X-Forwarded-For: 10.0.0.1",
                "-H",
                "Authorization: Bearer berth_t_1",
                "-b",
                "__Host-berth=x; a=b",
            ],
        )
        .await;
        let header = |name: &str| told["headers"][name].as_str().unwrap_or_default().to_owned();
        assert_eq!(told["version"], "HTTP/1.1");
        assert_eq!((header("host"), header("x-forwarded-proto")), (host.clone(), "https".to_owned()));
        assert_eq!((header("cookie"), header("authorization")), ("a=b".to_owned(), String::new()));
        assert!(header("x-forwarded-for").starts_with("127."), "{told}");
    }

    let mut ws = socket(&berthd, &host, "/ws").await;
    ws.send(Message::text("hello")).await.unwrap();
    assert_eq!(ws.next().await.unwrap().unwrap(), Message::text("hello"));
    ws.close(None).await.unwrap();

    grpc(&berthd, &host).await;
    large(&berthd, &host).await;

    // An open stream ends with its rule, and one through another rule does not.
    let (mut gone, mut stays) =
        (ticks(&berthd, &format!("https://{host}/ticks")), ticks(&berthd, &format!("http://{host}:8080/ticks")));
    assert_eq!(gone.next().await.as_deref(), Some("tick"));
    close(&ann, &id, 443).await;
    let start = Instant::now();
    while gone.next().await.is_some() {}
    assert!(start.elapsed() < PROMISED, "{:?}", start.elapsed());
    assert_eq!(stays.next().await.as_deref(), Some("tick"));
    answers(&berthd, &format!("https://{host}/"), 404).await;

    assert_eq!(ann.post(&id, "stop").await.0, StatusCode::OK);
    let start = Instant::now();
    while stays.next().await.is_some() {}
    assert!(start.elapsed() < PROMISED, "{:?}", start.elapsed());
    let (status, page) = get(&berthd, &format!("http://{host}/"), &["-H", "Accept: text/html"]).await;
    assert_eq!(status, 503);
    assert!(page.contains("This container is stopped"), "{page}");
    ann.removed(&id).await;
    answers(&berthd, &format!("http://{host}/"), 404).await;
}

/// `grpc.health.v1.Health/Check`: over h2 on both legs, and the status is in the trailers.
async fn grpc(berthd: &Berthd, host: &str) {
    let asked = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(asked.path(), [0; 5]).unwrap();
    let url = format!("https://{host}/grpc.health.v1.Health/Check");
    let data = format!("@{}", asked.path().display());
    let words = ["--http2", "-H", "Content-Type: application/grpc", "-H", "TE: trailers", "--data-binary", &data];
    let (_, told) = get(berthd, &format!("https://{host}/echo"), &words).await;
    assert_eq!(serde_json::from_str::<Value>(told.trim()).unwrap()["version"], "HTTP/2.0");
    let told = curl(berthd, &[&words[..], &["--dump-header", "-", "--output", "/dev/null", &url]].concat())
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.starts_with("HTTP/2 200") && told.contains("grpc-status: 0"), "{told}");
}

/// Five GiB up, one by h2 and one down, and what berthd's memory grew by at most.
async fn large(berthd: &Berthd, host: &str) {
    let before = berthd.memory();
    let url = format!("https://{host}/upload");
    for (flag, size) in [("--http1.1", 5 * GIB), ("--http2", GIB)] {
        let words = [flag, "--max-time", "240", "--upload-file", "-", "--request", "POST", &url];
        let mut upload = curl(berthd, &words);
        let source = std::process::Command::new("head")
            .args(["-c", &size.to_string(), "/dev/zero"])
            .stdout(Stdio::piped())
            .spawn();
        let start = Instant::now();
        let done = upload.stdin(source.unwrap().stdout.unwrap()).output();
        let (told, most) = watched(berthd, done).await;
        assert_eq!(String::from_utf8_lossy(&told.unwrap().stdout), size.to_string());
        let grown = most.saturating_sub(before);
        eprintln!("{} GiB up by {flag}: {:?}, {grown} KiB more memory", size / GIB, start.elapsed());
        assert!(grown < 48 * 1024, "{grown} KiB more");
    }
    let start = Instant::now();
    let url = format!("https://{host}/big?mib=1024");
    let words = ["--output", "/dev/null", "--write-out", "%{size_download}", &url];
    let (told, most) = watched(berthd, curl(berthd, &words).output()).await;
    assert_eq!(String::from_utf8_lossy(&told.unwrap().stdout), GIB.to_string());
    let grown = most.saturating_sub(before);
    eprintln!("1 GiB down: {:?}, {grown} KiB more memory", start.elapsed());
    assert!(grown < 48 * 1024, "{grown} KiB more");
}

/// With the most memory that berthd had meanwhile.
async fn watched<T>(berthd: &Berthd, work: impl Future<Output = T>) -> (T, u64) {
    let (mut work, mut most) = (std::pin::pin!(work), 0);
    let mut every = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            done = work.as_mut() => return (done, most),
            _look = every.tick() => most = most.max(berthd.memory()),
        }
    }
}

/// The lines of an answer that has no end, until it has one.
fn ticks(berthd: &Berthd, url: &str) -> std::pin::Pin<Box<dyn futures::Stream<Item = String>>> {
    let mut child = curl(berthd, &["--no-buffer", url]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Box::pin(futures::stream::unfold((lines, child), async |(mut lines, child)| {
        let line = lines.next_line().await.ok()??;
        Some((line, (lines, child)))
    }))
}

#[tokio::test]
async fn the_api_is_reached_by_its_name() {
    let berthd = Berthd::start_with_gateway(&[]).await;
    let ann = berthd.user(401, "ann");
    let url = "https://compute.berth.local";
    answers(&berthd, &format!("{url}/readyz"), 200).await;
    let moved = get(&berthd, "http://compute.berth.local/compute/containers?a=b", &["--include"]).await;
    assert_eq!(moved.0, 308);
    assert!(moved.1.contains("location: https://compute.berth.local/compute/containers?a=b"), "{}", moved.1);
    let bearer = format!("Authorization: Bearer {}", ann.token);
    for flag in ["--http1.1", "--http2"] {
        let (status, list) = get(&berthd, &format!("{url}/compute/containers"), &[flag, "-H", &bearer]).await;
        assert_eq!(status, 200, "{list}");
    }
    assert_eq!(get(&berthd, &format!("{url}/compute/containers"), &[]).await.0, 401);
    let mut ws = socket(&berthd, "compute.berth.local", &format!("/compute/ws?token={}", ann.token)).await;
    let id = ann.create("seen").await;
    let told = async {
        while let Some(message) = ws.next().await {
            if message.unwrap().to_text().is_ok_and(|text| text.contains(&id)) {
                return;
            }
        }
        panic!("the socket ended");
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("the socket to tell of the container");
    assert_eq!(get(&berthd, "https://elsewhere.example/", &[]).await.0, 0, "no certificate is for that");
    for metric in [
        "berth_gateway_handshake_failures_total",
        "berth_gateway_requests_total{protocol=\"https\",class=\"2xx\"}",
        "berth_gateway_bytes_total{protocol=\"http\",direction=\"out\"}",
        "berth_gateway_connections{protocol=\"https\"}",
    ] {
        until(&format!("{metric} to count"), 10, async || (berthd.metric(metric).await >= 1.0).then_some(())).await;
    }
    let pem = berthd.run(&["trust", "--pem"]);
    assert_eq!(pem, std::fs::read_to_string(berthd.authority()).unwrap());
    assert!(berthd.run(&["trust"]).contains(&berthd.authority().display().to_string()));
    ann.removed(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_on_while_the_api_server_is_down() {
    let mut proxy = TcpProxy::start(&service_kubeconfig()).await;
    let mut berthd = Berthd::set_up(Setup { kubeconfig: Some(proxy.kubeconfig()), ..Setup::default() });
    berthd.add_gateway();
    berthd.launch().await;
    let ann = berthd.user(402, "ann");
    let id = create(&ann, "web").await;
    open(&ann, &id, 443).await;
    let url = format!("https://{}/", host(&id));
    answers(&berthd, &url, 200).await;
    proxy.down();
    until("readyz to say that it is down", 30, async || {
        (ann.call(reqwest::Method::GET, "/readyz", None).await.0 == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    assert_eq!(get(&berthd, &url, &[]).await, (200, "hello\n".to_owned()));
    proxy.up().await;
    // What changed meanwhile is learned.
    close(&ann, &id, 443).await;
    answers(&berthd, &url, 404).await;
    ann.removed(&id).await;
}
