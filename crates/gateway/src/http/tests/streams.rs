//! Bodies, trailers and upgrades, as they pass.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::site::*;

#[tokio::test]
async fn a_connection_to_a_pod_is_used_again_and_a_closed_one_is_no_error() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let upstream = async {
        let mut first = next("a connection", &mut connections).await;
        for _ in 0..2 {
            read_until(&mut first, "\r\n\r\n").await;
            first.write_all(ok).await.unwrap();
        }
        // It takes the third request, and closes instead of answering it.
        read_until(&mut first, "\r\n\r\n").await;
        drop(first);
        let mut second = next("another connection", &mut connections).await;
        read_until(&mut second, "\r\n\r\n").await;
        second.write_all(ok).await.unwrap();
        second
    };
    let client = async {
        for _ in 0..3 {
            assert!(site.get(80, &host(ANN), "").await.starts_with("HTTP/1.1 200"));
        }
    };
    let (mut kept, ()) = tokio::join!(upstream, client);
    site.forget(ANN);
    assert_eq!(read_to_end(&mut kept).await, "", "what was kept is closed when the rule goes");
}

#[tokio::test]
async fn a_client_that_goes_away_is_not_answered_further() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    for answer in [None, Some("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")] {
        let mut client = site.connect(80).await;
        client.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host(ANN)).as_bytes()).await.unwrap();
        let mut upstream = next("a connection", &mut connections).await;
        read_until(&mut upstream, "\r\n\r\n").await;
        if let Some(answer) = answer {
            upstream.write_all(answer.as_bytes()).await.unwrap();
            read_until(&mut client, "hello\r\n").await;
        }
        drop(client);
        assert_eq!(read_to_end(&mut upstream).await, "", "{answer:?}");
    }
}

#[tokio::test]
async fn nobody_reads_ahead_without_end() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let mut client = site.connect(80).await;
    client.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host(ANN)).as_bytes()).await.unwrap();
    let mut upstream = next("a connection", &mut connections).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n").await.unwrap();
    let (block, mut sent) = ([b'x'; 65536], 0);
    // Until nothing more is taken for a while.
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), upstream.write(&block)).await {
        sent += written.unwrap();
        assert!(sent < 64 << 20, "{sent} bytes were taken that nobody reads");
    }
    let mut bytes = vec![0; sent];
    soon("what was taken", client.read_exact(&mut bytes)).await.unwrap();
}

#[tokio::test]
async fn the_gateway_asks_for_a_body_that_waits_to_be_asked_for() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let mut client = site.connect(80).await;
    let head = format!("PUT / HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", host(ANN));
    client.write_all(head.as_bytes()).await.unwrap();
    assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 100 "));
    client.write_all(b"hello").await.unwrap();
    let mut upstream = next("a connection", &mut connections).await;
    let asked = read_until(&mut upstream, "hello").await.to_ascii_lowercase();
    assert!(asked.contains("content-length: 5\r\n") && !asked.contains("expect"), "{asked}");
    upstream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert!(read_until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn trailers_arrive_in_both_directions() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let mut client = site.connect(80).await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nTE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n",
        host(ANN)
    );
    client.write_all(format!("{head}2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n").as_bytes()).await.unwrap();
    let mut upstream = next("a connection", &mut connections).await;
    let asked = read_until(&mut upstream, "0\r\nx-sum: 1\r\n\r\n").await;
    assert!(asked.contains("te: trailers\r\n"), "{asked}");
    let answer =
        "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n";
    upstream.write_all(answer.as_bytes()).await.unwrap();
    read_until(&mut client, "2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n").await;
}

#[tokio::test]
async fn after_an_upgrade_bytes_mean_nothing_to_the_gateway() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let mut client = site.connect(80).await;
    let ask = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: thing\r\n\r\n", host(ANN));
    // The first bytes of the other protocol come before anybody agreed to it.
    client.write_all(format!("{ask}\0early\n").as_bytes()).await.unwrap();
    let mut upstream = next("a connection", &mut connections).await;
    let asked = read_until(&mut upstream, "\r\n\r\n").await;
    assert!(asked.contains("upgrade: thing\r\n") && asked.contains("connection: upgrade\r\n"), "{asked}");
    upstream
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: thing\r\n\r\n\0hi\n")
        .await
        .unwrap();
    assert!(read_until(&mut client, "\0hi\n").await.starts_with("HTTP/1.1 101 "));
    read_until(&mut upstream, "\0early\n").await;
    client.write_all(b"GET / HTTP/9\n\n").await.unwrap();
    read_until(&mut upstream, "GET / HTTP/9\n\n").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut upstream).await, "");
    upstream.write_all(b"last words").await.unwrap();
    drop(upstream);
    assert_eq!(read_to_end(&mut client).await, "last words");
}

#[tokio::test]
async fn an_upgrade_that_is_refused_leaves_http() {
    let site = Site::start().await;
    let (address, mut asked) = answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno").await;
    site.route(ANN, Some(address));
    let ask = format!("GET /1 HTTP/1.1\r\nHost: {0}\r\nConnection: Upgrade\r\nUpgrade: thing\r\n\r\n", host(ANN));
    let then = format!("GET /2 HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host(ANN));
    let answers = site.exchange(80, &format!("{ask}{then}")).await;
    assert_eq!(answers.matches("HTTP/1.1 400 ").count(), 2, "{answers}");
    assert!(next("the first", &mut asked).await.starts_with("GET /1 "));
    assert!(next("the second", &mut asked).await.starts_with("GET /2 "));
    let answers = site.exchange(80, &format!("{ask}GET /3 HTTP/1.1\nHost: x\n\n")).await;
    assert!(answers.contains("HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain"), "{answers}");
}
