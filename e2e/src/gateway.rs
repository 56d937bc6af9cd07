//! What a gateway does, as far as an agent sees it: from where the network policy lets a gateway in, a signed grant, and then
//! whatever the client sends.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use berth_core::id::{ContainerId, Generation};
use berth_grant::ed25519_dalek::SigningKey;
use berth_grant::{Grant, LIFETIME};
use chrono::Utc;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use ssh_key::PublicKey;
use ssh_key::public::{Ed25519PublicKey, KeyData};

use crate::public::node_namespace;

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

/// What a berthd is told of it.
pub fn public_key() -> String {
    let key = KeyData::Ed25519(Ed25519PublicKey(signing_key().verifying_key().to_bytes()));
    PublicKey::from(key).to_openssh().expect("a key is written")
}

/// To the agent of one container, with the keys that may log in, until the process ends; its port on this machine.
pub fn gateway(agent: SocketAddr, container: ContainerId, key: &str) -> u16 {
    let key = PublicKey::from_openssh(key).expect("a public key").key_data().clone();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("a bound port").port();
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let client = client.expect("a client");
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&(number as u64).to_be_bytes());
            nonce[8..].copy_from_slice(&Utc::now().timestamp_nanos_opt().unwrap_or_default().to_be_bytes());
            let grant = Grant {
                container,
                generation: Generation(1_000_000),
                keys: vec![key.clone()],
                address: "203.0.113.7:4711".parse().expect("an address"),
                expires: Utc::now() + LIFETIME,
                nonce,
            };
            let ahead = grant.sign(&signing_key()).expect("a small grant");
            std::thread::spawn(move || relay(client, agent, &ahead));
        }
    });
    port
}

fn relay(mut client: TcpStream, agent: SocketAddr, ahead: &[u8]) {
    let namespace = File::open(format!("/run/netns/{}", node_namespace())).expect("the node's namespace");
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("entering it");
    let Ok(mut agent) = TcpStream::connect_timeout(&agent, Duration::from_secs(5)) else { return };
    let _refused = agent.write_all(ahead);
    let (mut from, mut to) = (client.try_clone().expect("a socket"), agent.try_clone().expect("a socket"));
    let up = std::thread::spawn(move || copy(&mut from, &mut to));
    copy(&mut agent, &mut client);
    let _gone = client.shutdown(Shutdown::Both);
    let _ended = up.join();
}

fn copy(from: &mut TcpStream, to: &mut TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _gone = to.shutdown(Shutdown::Write);
}
