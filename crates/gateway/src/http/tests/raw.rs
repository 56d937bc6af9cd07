//! Raw TCP at addresses of containers' own.

use std::time::Duration;

use berth_core::connection::Spoken;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::site::*;

/// A client of Ann's raw port, and her server's end.
async fn open(site: &Site) -> (TcpStream, TcpStream) {
    let (address, mut connections) = server().await;
    site.put_raw(ANN, site.own[0], address);
    let client = site.connect_at(site.own[0], 8000).await;
    (client, next("a connection", &mut connections).await)
}

/// The server speaks first, as those of mail and databases do, and what looks like HTTP or TLS is passed on as it is.
#[tokio::test]
async fn bytes_pass_as_they_are_and_ends_are_told_apart() {
    let mut site = Site::start().await;
    let (mut client, mut server) = open(&site).await;
    server.write_all(b"220 ready\r\n").await.unwrap();
    read_until(&mut client, "220 ready\r\n").await;
    client.write_all(b"\x16\x03\x01GET / HTTP/1.1\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut server, "Host: x\r\n\r\n").await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server).await, "");
    // The other direction goes on.
    let block = vec![b'x'; 8 << 20];
    let send = async {
        server.write_all(&block).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let (_, text) = tokio::join!(send, read_to_end(&mut client));
    assert_eq!(text.len(), block.len());
    let told = soon("the connection to be told of", site.ended.next()).await.unwrap();
    assert_eq!((told.spoken, told.container.as_str()), (Spoken::Tcp, ANN));
    assert_eq!((told.bytes_in, told.bytes_out), (29, 11 + block.len() as u64));
}

#[tokio::test]
async fn a_place_is_one_containers_alone() {
    let site = Site::start().await;
    let (_client, _server) = open(&site).await;
    let (address, mut connections) = server().await;
    site.put_raw(BOB, site.own[1], address);
    let mut bobs = site.connect_at(site.own[1], 8000).await;
    bobs.write_all(b"to bob").await.unwrap();
    read_until(&mut next("a connection", &mut connections).await, "to bob").await;
    // At an address that all share the port is no rule of HTTP.
    let answer = site.get(8000, &host(ANN), "").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn a_rule_that_goes_takes_its_raw_connections_along() {
    let site = Site::start().await;
    let (mut client, mut server) = open(&site).await;
    client.write_all(b"x").await.unwrap();
    read_until(&mut server, "x").await;
    site.put(ANN, Some([127, 0, 0, 1].into()), [].into(), false);
    assert_eq!(read_to_end(&mut client).await, "");
    assert_eq!(read_to_end(&mut server).await, "");
    // One that nobody reads as well.
    let (mut client, mut server) = open(&site).await;
    let block = [b'x'; 65536];
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(200), server.write(&block)).await {
        written.unwrap();
    }
    site.forget(ANN);
    let mut byte = [0];
    let end = async { while server.read(&mut byte).await.is_ok_and(|length| length > 0) {} };
    soon("the server's end", end).await;
    soon("the client's end", client.read_to_end(&mut Vec::new())).await.ok();
}

#[tokio::test]
async fn a_gateway_that_stops_lets_what_is_under_way_end() {
    let site = Site::start().await;
    let (mut client, mut server) = open(&site).await;
    site.stop.cancel();
    let mut every = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..20 {
        every.tick().await;
        server.write_all(b"tick").await.unwrap();
        read_until(&mut client, "tick").await;
    }
    // Then it is quiet, and ends.
    assert_eq!(read_to_end(&mut client).await, "");
}
