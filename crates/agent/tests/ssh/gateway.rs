//! What a gateway does, as far as an agent sees it: a signed grant, then whatever the client sends.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use berth_core::id::Generation;
use berth_grant::{Grant, LIFETIME};
use chrono::Utc;
use ed25519_dalek::SigningKey;
use ssh_key::public::{Ed25519PublicKey, KeyData};

pub(crate) const CONTAINER: &str = "bcdfghjk";

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

pub(crate) fn public_key() -> String {
    let key = KeyData::Ed25519(Ed25519PublicKey(signing_key().verifying_key().to_bytes()));
    format!("{}\n", ssh_key::PublicKey::from(key).to_openssh().unwrap())
}

/// Makes what is sent ahead of a connection from the grant that is due.
type Forge = Box<dyn Fn(Grant) -> Vec<u8> + Send>;

pub(crate) struct Gateway {
    address: SocketAddr,
    pub(crate) agent: SocketAddr,
    keys: Vec<KeyData>,
    forge: Arc<Mutex<Forge>>,
}

static NONCE: AtomicU64 = AtomicU64::new(1);

impl Gateway {
    pub(crate) fn start(agent: SocketAddr, keys: &[String]) -> Self {
        let keys = keys.iter().map(|line| ssh_key::PublicKey::from_openssh(line).unwrap().key_data().clone());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let forge: Arc<Mutex<Forge>> = Arc::new(Mutex::new(Box::new(|grant| grant.sign(&signing_key()).unwrap())));
        let gateway = Self { address: listener.local_addr().unwrap(), agent, keys: keys.collect(), forge };
        let (forge, keys) = (gateway.forge.clone(), gateway.keys.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let ahead = (forge.lock().unwrap())(grant(&keys));
                std::thread::spawn(move || relay(client, agent, &ahead));
            }
        });
        gateway
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn grant(&self) -> Grant {
        grant(&self.keys)
    }

    /// What comes ahead of the next connections.
    pub(crate) fn forge(&self, forge: impl Fn(Grant) -> Vec<u8> + Send + 'static) {
        *self.forge.lock().unwrap() = Box::new(forge);
    }
}

fn grant(keys: &[KeyData]) -> Grant {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&NONCE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Grant {
        container: CONTAINER.parse().unwrap(),
        generation: Generation(5),
        keys: keys.to_vec(),
        address: "203.0.113.7:4711".parse().unwrap(),
        expires: Utc::now() + LIFETIME,
        nonce,
    }
}

fn relay(client: TcpStream, agent: SocketAddr, ahead: &[u8]) {
    let mut agent = TcpStream::connect(agent).unwrap();
    let _refused = agent.write_all(ahead);
    let (mut from, mut to) = (client.try_clone().unwrap(), agent.try_clone().unwrap());
    let up = std::thread::spawn(move || copy(&mut from, &mut to));
    let mut client = client;
    copy(&mut agent, &mut client);
    let _gone = client.shutdown(Shutdown::Both);
    up.join().unwrap();
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
