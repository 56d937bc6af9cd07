//! What was opened through a rule ends with it, and nothing else does.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::site::*;

const STREAM: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
const PROMISED: Duration = Duration::from_secs(5);

/// A client in the middle of an answer, and the server that gives it.
async fn open(site: &Site, id: &str, upgrade: bool) -> (TcpStream, TcpStream) {
    let (address, mut connections) = server().await;
    site.route(id, Some(address));
    let mut client = site.connect(80).await;
    let fields = if upgrade { "Connection: Upgrade\r\nUpgrade: x\r\n" } else { "" };
    client.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", host(id)).as_bytes()).await.unwrap();
    let mut upstream = next("a connection", &mut connections).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    let answer = if upgrade { "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello\r\n" } else { STREAM };
    upstream.write_all(answer.as_bytes()).await.unwrap();
    read_until(&mut client, "hello\r\n").await;
    (client, upstream)
}

#[tokio::test]
async fn a_rule_that_goes_takes_its_own_streams_along() {
    let site = Site::start().await;
    let (mut other, mut other_upstream) = open(&site, BOB, false).await;
    for upgrade in [false, true] {
        let (mut client, mut upstream) = open(&site, ANN, upgrade).await;
        site.put(ANN, Some([127, 0, 0, 1].into()), [].into(), false);
        let start = Instant::now();
        let rest = read_to_end(&mut client).await;
        assert!(!rest.contains("0\r\n\r\n"), "it must not look whole: {rest:?}");
        assert_eq!(read_to_end(&mut upstream).await, "");
        assert!(start.elapsed() < PROMISED, "{:?}", start.elapsed());
    }
    other_upstream.write_all(b"5\r\nagain\r\n").await.unwrap();
    read_until(&mut other, "again\r\n").await;
}

#[tokio::test]
async fn a_new_address_ends_what_went_to_the_old_one() {
    let site = Site::start().await;
    let (mut client, mut upstream) = open(&site, ANN, false).await;
    site.table.set_address(ANN.parse().unwrap(), Some([127, 0, 0, 2].into()));
    read_to_end(&mut client).await;
    assert_eq!(read_to_end(&mut upstream).await, "");
}

/// Nothing is asked of it any more: the end is not noticed by writing.
#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off_as_well() {
    let site = Site::start().await;
    let (mut client, mut upstream) = open(&site, ANN, false).await;
    let block = [b'x'; 65536];
    upstream.write_all(b"7fffffff\r\n").await.unwrap();
    while tokio::time::timeout(Duration::from_millis(500), upstream.write(&block)).await.is_ok() {}
    site.forget(ANN);
    let start = Instant::now();
    let mut rest = Vec::new();
    let closed = async {
        // The server learns of it although the client still reads nothing.
        while upstream.write(&block).await.is_ok() {}
    };
    soon("the stream to the server to be cut", closed).await;
    assert!(start.elapsed() < PROMISED, "{:?}", start.elapsed());
    let _end = soon("the client's end", client.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn an_upload_ends_too() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let mut client = site.connect(80).await;
    let head = format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 99\r\n\r\nhello", host(ANN));
    client.write_all(head.as_bytes()).await.unwrap();
    let mut upstream = next("a connection", &mut connections).await;
    read_until(&mut upstream, "hello").await;
    site.forget(ANN);
    assert_eq!(read_to_end(&mut upstream).await, "");
    let answer = read_to_end(&mut client).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn a_gateway_that_stops_lets_answers_end() {
    let site = Site::start().await;
    let (mut client, mut upstream) = open(&site, ANN, false).await;
    let idle = site.connect(80).await;
    site.stop.cancel();
    soon("the ports to close", async {
        while TcpStream::connect(site.at(80)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(idle);
    upstream.write_all(b"5\r\nagain\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(read_to_end(&mut client).await, "5\r\nagain\r\n0\r\n\r\n");
}
