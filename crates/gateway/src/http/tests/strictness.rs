//! What is refused on a connection, and that nothing of it is passed on.

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::site::*;
use crate::http::body::Body;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn ambiguous_requests_end_here() {
    let site = Site::start().await;
    let (address, mut asked) = answering(OK).await;
    site.route(ANN, Some(address));
    let host = host(ANN);
    let good = format!("GET /good HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (fields, why) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "both"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "two Content-Length"),
        ("Transfer-Encoding: chunked, identity\r\n", "not exactly chunked"),
        ("X: y\n", "CR LF"),
        ("X: y\r\n z\r\n", "folded"),
        ("X : y\r\n", "name"),
        ("Host: b\r\n", "two Host"),
        ("Transfer-Encoding: chunked\r\n\r\nZ\r\n", "chunk"),
    ] {
        let request = format!("{good}POST /bad HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n0\r\n\r\n{smuggled}");
        let answers = site.exchange(80, &request).await;
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{fields:?}: {answers}");
        assert!(answers.starts_with("HTTP/1.1 200 OK"), "{answers}");
        let refused = answers.split("ok").nth(1).unwrap();
        assert!(refused.starts_with("HTTP/1.1 400 ") && refused.contains(why), "{fields:?}: {answers}");
        assert!(refused.contains("connection: close"), "{answers}");
        assert!(next("the good request", &mut asked).await.starts_with("GET /good "));
    }
    assert!(asked.try_recv().is_err(), "the container saw nothing else");
    let large =
        site.exchange(80, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n", "x".repeat(70_000))).await;
    assert!(large.starts_with("HTTP/1.1 431 "), "{large}");
}

#[tokio::test]
async fn a_body_that_breaks_its_framing_never_looks_whole() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let mut client = site.connect(80).await;
    let head = format!("POST / HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", host(ANN));
    client.write_all(head.as_bytes()).await.unwrap();
    let mut upstream = next("a connection", &mut connections).await;
    read_until(&mut upstream, "hello\r\n").await;
    client.write_all(b"5 \r\nhello\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(read_to_end(&mut upstream).await, "", "no last chunk");
    let answer = read_to_end(&mut client).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// All at once, because each takes as long as the deadline that it meets.
#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let site = &Site::start().await;
    let (address, mut asked) = answering(OK).await;
    site.route(ANN, Some(address));
    let whole = &format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host(ANN));
    let cases = [(80, ""), (443, ""), (443, "\x16\x03\x01"), (80, "G"), (80, &whole[..20]), (8000, whole)];
    let silent = cases.map(async |(port, sent)| {
        let mut stream = site.connect(port).await;
        let start = Instant::now();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let _end = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;
        assert!(start.elapsed().as_secs() <= 20, "{port} {sent:?}: {:?}", start.elapsed());
    });
    let idle = async {
        let stream = site.handshake(443, &host(ANN), &["h2"]).await.unwrap();
        let start = Instant::now();
        let stream = TokioIo::new(stream);
        let (_kept, connection) = http2::handshake::<_, _, Body>(TokioExecutor::new(), stream).await.unwrap();
        let _ended = connection.await;
        assert!(start.elapsed().as_secs() <= 20, "an idle h2 connection: {:?}", start.elapsed());
    };
    tokio::join!(futures::future::join_all(silent), idle);
    assert!(asked.try_recv().is_ok());
}
