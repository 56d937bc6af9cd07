//! Where requests lead, and what the gateway says itself.

use std::time::Duration;

use tokio::net::TcpStream;

use super::site::*;
use crate::table::{Protocol, Rule};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_default()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn a_request_reaches_its_own_container_alone() {
    let mut site = Site::start().await;
    let ((ann, mut asked), (bob, _)) = (answering(OK).await, answering("HTTP/1.1 204 Bob\r\n\r\n").await);
    site.route(ANN, Some(ann));
    site.route(BOB, Some(bob));
    for port in [80, 8000] {
        assert_eq!(status(&site.get(port, &host(ANN), "").await), 200);
        assert_eq!(status(&site.get(port, &format!("{}.:99", host(BOB).to_uppercase()), "").await), 204);
    }
    let head = next("a request", &mut asked).await.to_ascii_lowercase();
    for line in [
        "get /?secret http/1.1",
        "host: bcdfghjk.compute.example.com",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: bcdfghjk.compute.example.com",
        "x-forwarded-port: 80",
        "forwarded: for=127.0.0.1;host=\"bcdfghjk.compute.example.com\";proto=http",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} is not in {head}");
    }
    // One connection, two containers.
    let both = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\n\r\nGET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        host(ANN),
        host(BOB)
    );
    let answers = site.exchange(80, &both).await;
    assert!(answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 204"), "{answers}");
    // Four connections before it, each of one; both of this one are recorded, each with its own bytes.
    let mut ended = Vec::new();
    for _connection in 0..6 {
        ended.push(tokio::time::timeout(SOON, site.ended.next()).await.unwrap().unwrap());
    }
    let [.., first, second] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!([first, second].map(|one| one.container.to_string()), [ANN, BOB]);
    assert!(first.user.is_none() && first.bytes_in > 0 && second.bytes_out > 0, "{ended:?}");
    assert!(first.bytes_out + second.bytes_out >= answers.len() as u64, "{ended:?}");
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_for_those_who_may_know() {
    let site = Site::start().await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let unknown = site.get(80, &host(ANN), "").await;
    assert_eq!(status(&unknown), 404);
    assert_eq!(status(&site.get(80, "example.org", "").await), 404);
    assert_eq!(status(&site.get(80, "compute.example.com", "").await), 404, "no API is configured");

    let rule = |protocol| [(80, Rule { target: free.port(), protocol })].into();
    site.put(ANN, Some(free.ip()), [].into(), false);
    let same = |answer: &str| answer.lines().filter(|line| !line.starts_with("date")).collect::<String>();
    assert_eq!(same(&site.get(80, &host(ANN), "").await), same(&unknown), "no rule looks like no container");
    site.put(ANN, Some(free.ip()), [].into(), true);
    assert_eq!(same(&site.get(80, &host(ANN), "").await), same(&unknown), "stopped or not");
    site.put(ANN, Some(free.ip()), rule(Protocol::Tcp), false);
    assert_eq!(same(&site.get(80, &host(ANN), "").await), same(&unknown), "raw TCP is not served as HTTP");
    site.put(ANN, Some(free.ip()), rule(Protocol::Http), false);
    assert_eq!(same(&site.get(8000, &host(ANN), "").await), same(&unknown), "a rule is for its own port");

    let refused = site.get(80, &host(ANN), "").await;
    assert_eq!(status(&refused), 502);
    assert!(body(&refused).contains(&format!("nothing listens on its port {}", free.port())), "{refused}");
    site.put(ANN, None, rule(Protocol::Http), false);
    let starting = site.get(80, &host(ANN), "Accept: application/json\r\n").await;
    assert_eq!(status(&starting), 503);
    assert!(starting.contains("retry-after: 2") && starting.contains("application/problem+json"), "{starting}");
    assert!(body(&starting).contains("is starting"));
    site.put(ANN, None, rule(Protocol::Http), true);
    let stopped = site.get(80, &host(ANN), "Accept: text/html,*/*;q=0.8\r\n").await;
    assert_eq!(status(&stopped), 503);
    assert!(stopped.contains("text/html") && body(&stopped).contains("<p>This container is stopped"), "{stopped}");
    let plain = site.get(80, &host(ANN), "").await;
    assert!(plain.contains("text/plain") && body(&plain).starts_with("503 Service Unavailable: "), "{plain}");
}

#[tokio::test]
async fn which_leg_broke_is_said() {
    let site = Site::start().await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    let ann = host(ANN);
    let (broken, ()) = tokio::join!(site.get(80, &ann, ""), async {
        let mut stream = next("a connection", &mut connections).await;
        read_until(&mut stream, "\r\n\r\n").await;
    });
    assert_eq!(status(&broken), 502);
    assert!(body(&broken).contains("closed the connection before it answered"), "{broken}");
    // A server that takes no more connections answers nothing at all to another.
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    site.route(ANN, Some(address));
    let unreached = site.get(80, &host(ANN), "").await;
    assert_eq!(status(&unreached), 504, "{unreached}");
}

#[tokio::test]
async fn the_api_has_its_own_name_over_https_alone() {
    let (api, mut asked) = answering(OK).await;
    let site = Site::with_api(Some(api)).await;
    let moved = site.get(80, "Compute.example.com", "").await;
    assert_eq!(status(&moved), 308);
    assert!(moved.contains("location: https://compute.example.com:10443/?secret\r\n"), "{moved}");
    assert_eq!(status(&site.get(8000, "compute.example.com", "").await), 404);
    let mut stream = site.handshake(443, "compute.example.com", &[]).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: compute.example.com\r\nCookie: __Host-berth=x\r\n\
                   Authorization: Bearer berth_s_1\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    assert_eq!(status(&read_to_end(&mut stream).await), 200);
    let head = next("a request", &mut asked).await.to_ascii_lowercase();
    for line in [
        "cookie: __host-berth=x",
        "authorization: bearer berth_s_1",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: https",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line} is not in {head}");
    }
}

#[tokio::test]
async fn an_old_client_and_one_that_wants_no_body_are_answered_in_their_way() {
    let site = Site::start().await;
    let (address, _asked) =
        answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    site.route(ANN, Some(address));
    let answer = site.exchange(80, &format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", host(ANN))).await;
    assert!(answer.starts_with("HTTP/1.0 200 ") && answer.ends_with("\r\n\r\nok"), "{answer}");
    let (address, _asked) = answering("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n").await;
    site.route(ANN, Some(address));
    let head = format!("HEAD / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host(ANN));
    let answer = site.exchange(80, &head).await;
    assert!(answer.contains("content-length: 99\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}
