//! Addresses of containers' own: plain `ssh root@<name>` with no configuration, and raw TCP.
#![allow(clippy::unwrap_used, reason = "test code")]

mod clients;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use berth_e2e::berthd::{Berthd, User};
use berth_e2e::dns::dig;
use berth_e2e::ssh::{Client, add_key, set_ssh};
use berth_e2e::{until, web};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// What a rule that is removed may leave open.
const PROMISED: Duration = Duration::from_secs(5);

async fn machine(user: &User<'_>, name: &str, keys: &[i64]) -> (String, IpAddr) {
    let id = user.create(name).await;
    set_ssh(user, &id, true, keys).await;
    let address = user.get(&id).await.1["external_ip"].as_str().unwrap().parse().unwrap();
    (id, address)
}

/// `ssh root@<address>`, and what the machine behind it says of itself.
async fn who(client: &Client, address: IpAddr, options: &[&str]) -> (Option<i32>, String, String) {
    let destination = format!("root@{address}");
    let words = [options, &["-o", "HostKeyAlias=gateway", &destination, "cat /root/mark"]].concat();
    let output = client.output("ssh", &words).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Puts a mark into a container by a way that needs no address.
async fn mark(client: &Client, berthd: &Berthd, id: &str) {
    let destination = format!("{id}@{}", berthd.gateway());
    let words = ["-o", "HostKeyAlias=gateway", &destination, &format!("echo {id} > /root/mark")];
    until(&format!("{id} to be marked"), 60, async || {
        client.output("ssh", &words).await.status.success().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_address_names_a_container_to_its_owner() {
    let mut berthd = Berthd::configured();
    let [one, two] = berthd.add_dedicated();
    let server = berthd.gateway().to_string();
    let listen = format!("[\"{server}:53\"]");
    berthd.configure(&[
        ("BERTH_GATEWAY__DNS__LISTEN", &listen),
        ("BERTH_GATEWAY__DNS__ADDRESSES", "[\"203.0.113.7\", \"2001:db8::7\"]"),
    ]);
    berthd.launch().await;
    let (ann, bob) = (berthd.user(4710, "ann"), berthd.user(4711, "bob"));
    let client = Client::new().await;
    client.trust("gateway", &berthd.gateway_host_key());
    let key = add_key(&ann, "laptop", &client.user_key()).await;
    let spare = add_key(&ann, "spare", &client.make_key("spare").await).await;
    let (a, at_a) = machine(&ann, "a", &[key]).await;
    let (b, at_b) = machine(&ann, "b", &[key, spare]).await;
    let others = Client::new().await;
    others.trust("gateway", &berthd.gateway_host_key());
    let theirs = add_key(&bob, "laptop", &others.user_key()).await;
    let (c, at_c) = machine(&bob, "c", &[theirs]).await;
    let mut given = [at_a, at_b];
    given.sort_unstable();
    assert_eq!(given, [one, two], "one each, and no other");
    assert!(given.contains(&at_c), "another owner's may be the same");
    for (user, id) in [(&ann, &a), (&ann, &b), (&bob, &c)] {
        user.settled(id, "running").await;
    }
    for (client, id) in [(&client, &a), (&client, &b), (&others, &c)] {
        mark(client, &berthd, id).await;
    }

    for (client, address, id) in [(&client, at_a, &a), (&client, at_b, &b), (&others, at_c, &c)] {
        let (code, out, err) = who(client, address, &[]).await;
        assert_eq!((code, out.as_str()), (Some(0), id.as_str()), "{err}");
    }
    for (address, id) in [(at_a, &a), (at_b, &b)] {
        clients::others(&client, &berthd, address, id).await;
    }
    // A key of the same owner that this container does not list is not led to the one that does.
    let identity = format!("IdentityFile={}", client.path("spare").display());
    let options = ["-F", "none", "-o", &identity, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"];
    let known = format!("UserKnownHostsFile={}", client.path("known_hosts").display());
    let options = [&options[..], &["-o", &known]].concat();
    assert_eq!(who(&client, at_b, &options).await.1, b);
    let (code, out, _) = who(&client, at_a, &options).await;
    assert!(code != Some(0) && out.is_empty(), "{out}");
    // Nor is a key of somebody else.
    let elsewhere = if at_c == at_a { at_b } else { at_a };
    let (code, out, _) = who(&others, elsewhere, &[]).await;
    assert!(code != Some(0) && out.is_empty(), "{out}");
    // At an address that all share, two containers are too many.
    let (code, out, err) = who(&client, berthd.gateway().into(), &[]).await;
    assert!(code != Some(0) && out.is_empty() && err.contains(&a) && err.contains(&b), "{err}");

    // Their names lead there, so that no configuration is needed.
    let name = format!("{a}.compute.berth.local");
    assert_eq!(dig(&server, &["+short", &name, "A"]).await.trim(), at_a.to_string());
    assert_eq!(dig(&server, &["+short", &name, "AAAA"]).await.trim(), "", "nowhere but to its own address");
    for (user, id) in [(&ann, &a), (&ann, &b), (&bob, &c)] {
        user.removed(id).await;
    }
}

async fn rule(user: &User<'_>, id: &str, port: u16) -> (StatusCode, Value) {
    let body = json!({ "port": port, "target_port": web::INSIDE, "protocol": "tcp" });
    user.call(Method::POST, &format!("/compute/containers/{id}/ingress"), Some(&body)).await
}

/// Says this over a connection and reads on until the answer ends so, or the connection.
async fn exchange(stream: &mut TcpStream, say: &str, end: &str) -> String {
    let _refused = stream.write_all(say.as_bytes()).await;
    let mut text = String::new();
    let read = async {
        let mut buffer = [0; 4096];
        while !text.ends_with(end) {
            let length = stream.read(&mut buffer).await.unwrap_or(0);
            if length == 0 {
                return;
            }
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    timeout(Duration::from_secs(20), read).await.expect("gave up waiting for an answer");
    text
}

#[tokio::test]
async fn raw_tcp_reaches_the_container_of_the_address() {
    let mut berthd = Berthd::configured();
    berthd.add_dedicated();
    berthd.launch().await;
    let (ann, bob) = (berthd.user(4720, "ann"), berthd.user(4721, "bob"));
    let id = web::create(&ann, "raw").await;
    let (_, body) = ann.get(&id).await;
    let place = SocketAddr::new(body["external_ip"].as_str().unwrap().parse().unwrap(), 8000);
    let (status, answer) = rule(&ann, &id, 443).await;
    assert_eq!((status, answer["field"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("protocol")), "{answer}");
    assert_eq!(rule(&ann, &id, 8000).await.0, StatusCode::CREATED);

    // A request whose host is none of ours, over bytes that the gateway would refuse if it read them.
    let request = "GET / HTTP/1.1\nHost: anything at all\r\nConnection: keep-alive\r\n\r\n";
    let mut open = until("the rule to lead to the container", 30, async || {
        let mut stream = TcpStream::connect(place).await.ok()?;
        exchange(&mut stream, request, "hello\n").await.starts_with("HTTP/1.1 200").then_some(stream)
    })
    .await;
    assert!(exchange(&mut open, request, "hello\n").await.starts_with("HTTP/1.1 200"));

    // Another owner's container at the same address, if it comes to have it, gets neither the port nor the connection.
    for name in ["b", "c"] {
        let other = bob.create(name).await;
        let same = bob.get(&other).await.1["external_ip"] == body["external_ip"];
        let (status, answer) = rule(&bob, &other, 8000).await;
        assert_eq!(status, if same { StatusCode::CONFLICT } else { StatusCode::CREATED }, "{answer}");
        bob.removed(&other).await;
    }

    let begun = Instant::now();
    web::close(&ann, &id, 8000).await;
    let mut rest = Vec::new();
    let _reset = timeout(Duration::from_secs(20), open.read_to_end(&mut rest)).await.expect("the connection to end");
    assert!(begun.elapsed() < PROMISED, "{:?}", begun.elapsed());
    until("the connection to be in the audit log", 20, async || {
        berthd.audited(&id).await.contains(&"connection.tcp".to_owned()).then_some(())
    })
    .await;
    ann.removed(&id).await;
}
