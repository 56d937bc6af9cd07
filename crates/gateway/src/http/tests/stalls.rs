//! Whoever makes no progress is waited for a limited time, whichever end it is.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::site::*;

/// A site that does not wait for long, and the container's server, which accepts and does no more by itself.
type Scene = (Site, mpsc::UnboundedReceiver<TcpStream>);

/// With a client that asked, and the connection to the server over which it did.
async fn asked(request: &str) -> (Scene, TcpStream, TcpStream) {
    let site = Site::with(|config| config.stall_timeout_seconds = 2).await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let mut client = site.connect(80).await;
    client.write_all(request.replace("HOST", &host(ANN)).as_bytes()).await.unwrap();
    let upstream = next("a connection", &mut connections).await;
    ((site, connections), client, upstream)
}

const GET: &str = "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n";

#[tokio::test]
async fn a_server_that_does_not_answer() {
    let (_scene, mut client, mut upstream) = asked(GET).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    let answer = read_until(&mut client, "in time.\n").await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert_eq!(read_to_end(&mut upstream).await, "");
}

#[tokio::test]
async fn a_server_that_stops_within_its_answer() {
    let (_scene, mut client, mut upstream) = asked(GET).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await.unwrap();
    let answer = read_to_end(&mut client).await;
    assert!(answer.ends_with("hello\r\n"), "it must not look whole: {answer:?}");
    assert_eq!(read_to_end(&mut upstream).await, "");
}

#[tokio::test]
async fn a_client_that_stops_within_its_body() {
    let head = "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 99\r\n\r\nhello";
    let (_scene, mut client, mut upstream) = asked(head).await;
    read_until(&mut upstream, "hello").await;
    assert_eq!(read_to_end(&mut upstream).await, "");
    let answer = read_to_end(&mut client).await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_nothing() {
    let (_scene, mut client, mut upstream) = asked(GET).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n").await.unwrap();
    let cut = async { while upstream.write(&[b'x'; 65536]).await.is_ok() {} };
    soon("the stream from the server to be cut", cut).await;
    let _end = soon("the client's end", client.read_to_end(&mut Vec::new())).await;
}

/// Longer than the limit as a whole, and never silent for that long.
#[tokio::test]
async fn slow_is_not_stalled() {
    let (_scene, mut client, mut upstream) = asked(GET).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n").await.unwrap();
    let mut every = tokio::time::interval(Duration::from_millis(300));
    for byte in *b"hello world\n" {
        every.tick().await;
        upstream.write_all(&[byte]).await.unwrap();
    }
    read_until(&mut client, "hello world\n").await;
}

/// What HTTP has been left for may wait as long as it likes.
#[tokio::test]
async fn an_upgraded_connection_may_be_silent() {
    let ((site, _server), mut client, mut upstream) =
        asked("GET / HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n").await;
    read_until(&mut upstream, "\r\n\r\n").await;
    let go = b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    upstream.write_all(go).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    // As long as somebody else is waited for, and given up.
    let mut other = site.connect(80).await;
    other.write_all(GET.replace("HOST", &host(ANN)).as_bytes()).await.unwrap();
    assert!(read_until(&mut other, "in time.\n").await.starts_with("HTTP/1.1 504 "));
    upstream.write_all(b"still here\n").await.unwrap();
    read_until(&mut client, "still here\n").await;
}
