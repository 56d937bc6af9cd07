//! What can be reached from inside a pod, tried by the base image's own Python.

use crate::kubectl;

/// Minimal Python has no JSON. Tries all targets at once and prints those that answered; an answer takes a millisecond here, so two seconds are silence.
const SCRIPT: &str = r#"
import socket, sys, threading
def reach(protocol, address, port):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(2)
        s.connect((address, int(port)))
        if protocol == "tcp":
            return True
        for _ in range(2):
            s.send(b"probe")
            try:
                return len(s.recv(100)) >= 0
            except TimeoutError:
                pass
    return False
def one(target):
    try:
        if reach(*target.split()): reached.append(target)
    except OSError:
        pass
reached = []
threads = [threading.Thread(target=one, args=(t,)) for t in sys.argv[1:]]
[t.start() for t in threads]
[t.join() for t in threads]
print("\n".join(reached))
"#;

/// Echoes on TCP and UDP until the pod ends.
pub const ECHO: &str = r#"
import os, socket, sys, threading
port = int(sys.argv[1])
if len(sys.argv) > 2:
    if os.fork(): os._exit(0)
    os.setsid()
    [os.close(n) for n in (0, 1, 2)]
t = socket.socket(); t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); t.bind(("0.0.0.0", port)); t.listen()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("0.0.0.0", port))
def udp():
    while True:
        data, peer = u.recvfrom(1500)
        u.sendto(data, peer)
threading.Thread(target=udp, daemon=True).start()
while True:
    c, _ = t.accept()
    c.close()
"#;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub what: String,
    protocol: &'static str,
    address: String,
    port: u16,
}

impl Target {
    fn word(&self) -> String {
        format!("{} {} {}", self.protocol, self.address, self.port)
    }
}

pub fn tcp(what: &str, address: &str, port: u16) -> Target {
    Target { what: format!("{what} (TCP {address}:{port})"), protocol: "tcp", address: address.to_owned(), port }
}

pub fn udp(what: &str, address: &str, port: u16) -> Target {
    Target { what: format!("{what} (UDP {address}:{port})"), protocol: "udp", address: address.to_owned(), port }
}

pub fn both(what: &str, address: &str, port: u16) -> [Target; 2] {
    [tcp(what, address, port), udp(what, address, port)]
}

/// Of these targets the ones that answer this pod.
pub async fn reached<'a>(namespace: &str, pod: &str, targets: &'a [Target]) -> Vec<&'a str> {
    let words: Vec<String> = targets.iter().map(Target::word).collect();
    let mut command = vec!["-n", namespace, "exec", pod, "--", "python3", "-c", SCRIPT];
    command.extend(words.iter().map(String::as_str));
    let printed = kubectl::run(&command).await;
    let answered: Vec<&str> = printed.lines().collect();
    let is_there = |target: &&Target| answered.contains(&target.word().as_str());
    targets.iter().filter(is_there).map(|target| target.what.as_str()).collect()
}
