//! The world beyond the node: a network namespace, joined to the node's own, with a "public" address and one of each range that
//! containers must not reach. No packet of a test can leave the machine. Every address echoes on TCP and UDP port 80.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The address that plays the public internet; tests take its range out of what containers must not reach.
pub const ADDRESS: &str = "198.51.100.2";
/// The node's own address on the link to it.
const GATE: &str = "198.51.100.1";
pub const PORT: u16 = 80;

/// One of each range that is not the public internet, beside the cluster's own.
pub const FORBIDDEN: [&str; 14] = [
    "10.200.7.2",
    "172.20.7.2",
    "192.168.77.2",
    "100.64.7.2",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.7",
    "192.0.2.7",
    "192.88.99.7",
    "198.18.7.2",
    "198.19.7.2",
    "203.0.113.7",
    "240.0.0.7",
    "255.255.255.254",
];

/// It ends with the test that made it.
#[derive(Debug)]
pub struct PublicHost {
    name: String,
    link: String,
}

fn ip(line: &str) -> bool {
    Command::new("ip").args(line.split(' ')).stderr(Stdio::null()).status().expect("ip runs").success()
}

/// The network namespace that the embedded node lives in.
pub(crate) fn node_namespace() -> String {
    format!("berth-{}", std::env::var("BERTH_NODE_INSTANCE").unwrap_or_else(|_| "node".to_owned()))
}

impl PublicHost {
    pub fn start() -> Self {
        let number = std::process::id() % 100_000;
        let host = Self { name: format!("berth-public-{number}"), link: format!("pub{number}") };
        let (node, name, link) = (node_namespace(), &host.name, &host.link);
        let mut lines = vec![
            format!("netns add {name}"),
            format!("-n {node} link add {link} type veth peer name eth0 netns {name}"),
            format!("-n {node} address add {GATE}/24 dev {link}"),
            format!("-n {node} link set {link} up"),
            format!("-n {name} address add {ADDRESS}/24 dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} link set lo up"),
            format!("-n {name} route add default via {GATE}"),
        ];
        for address in FORBIDDEN {
            lines.push(format!("-n {name} address add {address}/32 dev lo"));
            lines.push(format!("-n {node} route add {address}/32 via {ADDRESS}"));
        }
        for line in &lines {
            assert!(ip(line), "ip {line}");
        }
        host.inside(|| {
            for address in FORBIDDEN.into_iter().chain([ADDRESS]) {
                echo(address.parse().expect("an address"), PORT);
            }
        });
        host
    }

    /// Whether something outside the cluster can connect there.
    pub fn reaches(&self, address: &str, port: u16) -> bool {
        let target = SocketAddr::new(address.parse().expect("an address"), port);
        self.inside(move || TcpStream::connect_timeout(&target, Duration::from_secs(2)).is_ok())
    }

    /// Runs on a thread of its own, which lives in the namespace; sockets that are made there stay there.
    fn inside<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).expect("the namespace");
        let thread = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("entering it");
            act()
        });
        thread.join().expect("the thread in the namespace")
    }
}

impl Drop for PublicHost {
    fn drop(&mut self) {
        // The routes go with the link.
        ip(&format!("-n {} link delete {}", node_namespace(), self.link));
        ip(&format!("netns delete {}", self.name));
    }
}

/// Answers what it is sent, on TCP and UDP, until the process ends. Port 0: a free one, the same for both; it is returned.
pub fn echo(address: Ipv4Addr, port: u16) -> u16 {
    let tcp = TcpListener::bind((address, port)).expect("a TCP port");
    let port = tcp.local_addr().expect("a bound port").port();
    let udp = UdpSocket::bind((address, port)).expect("a UDP port");
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            std::thread::spawn(move || stream.and_then(answer));
        }
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
            if udp.send_to(&buffer[..length], peer).is_err() {
                return;
            }
        }
    });
    port
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 1500];
    let length = stream.read(&mut buffer)?;
    stream.write_all(&buffer[..length])
}
