//! HTTPS: names, protocols, certificates, and h2.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;

use super::site::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\n\r\nok";

async fn h2(site: &Site, name: &str) -> http2::SendRequest<Empty<Bytes>> {
    let stream = site.handshake(443, name, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn ask(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn h2_in_front_is_http_1_behind() {
    let site = Site::start().await;
    let (address, mut asked) = answering(OK).await;
    site.route(ANN, Some(address));
    let mut sender = h2(&site, &host(ANN)).await;
    let response = sender.send_request(ask(&format!("https://{}/x?y", host(ANN)))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("x-hop"));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
    let head = next("a request", &mut asked).await;
    assert!(head.starts_with("GET /x?y HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", host(ANN))) && head.contains("x-forwarded-proto: https"), "{head}");
    // Another host name over the same connection, or two in one request.
    let other = sender.send_request(ask(&format!("https://{}/", host(BOB)))).await.unwrap();
    assert_eq!(other.status(), StatusCode::MISDIRECTED_REQUEST);
    let mut two = ask(&format!("https://{}/", host(ANN)));
    two.headers_mut().insert("host", host(BOB).parse().unwrap());
    assert_eq!(sender.send_request(two).await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn a_name_is_shaken_hands_with_and_then_kept() {
    let site = Site::start().await;
    let (address, _) = answering(OK).await;
    site.route(ANN, Some(address));
    site.route(BOB, Some(address));
    for (port, name, expected) in [(443, host(ANN), 200), (8000, host(ANN), 200), (443, host(BOB), 421)] {
        let mut stream = site.handshake(port, &host(ANN), &["http/1.1"]).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{port} {name}: {answer}");
    }
    assert!(site.handshake(443, "example.org", &[]).await.is_err(), "no certificate is for that");
    assert!(site.handshake(443, "127.0.0.1", &[]).await.is_err(), "nor for no name");
    let plain = site.exchange(443, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!plain.contains("HTTP/1.1 200"), "{plain}");
}

#[tokio::test]
async fn an_h2_connection_ends_with_its_rule() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let mut sender = h2(&site, &host(ANN)).await;
    let upstream = async {
        let mut upstream = next("a connection", &mut connections).await;
        read_until(&mut upstream, "\r\n\r\n").await;
        upstream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await.unwrap();
        upstream
    };
    let (_upstream, response) = tokio::join!(upstream, sender.send_request(ask(&format!("https://{}/", host(ANN)))));
    let mut body = response.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
    site.forget(ANN);
    let end = soon("the stream to end", body.frame()).await;
    assert!(end.is_some_and(|frame| frame.is_err()), "not as if it was whole");
}

/// A certificate that vouches for itself, and its key, in place of those that are there.
fn write_files(folder: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new([host(ANN)]).unwrap();
    std::fs::write(folder.join("tls.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn files_are_replaced_while_connections_are_open() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    write_files(folder.path());
    let site = Site::with(|config| {
        (config.certificate, config.certificate_key) = (Some(certificate.clone()), Some(key));
    })
    .await;
    let (address, _asked) = answering(OK).await;
    site.route(ANN, Some(address));
    let mut old = site.handshake_trusting(&certificate, 443, &host(ANN), &[]).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host(ANN));
    old.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut old, "ok").await;

    write_files(folder.path());
    let new = async {
        loop {
            if let Ok(stream) = site.handshake_trusting(&certificate, 443, &host(ANN), &[]).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut new = soon("handshakes with the new certificate", new).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(request.as_bytes()).await.unwrap();
        read_until(stream, "ok").await;
    }
}
