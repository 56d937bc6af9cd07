//! Forwarded connections, both ways, and the agent.

use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};

use berth_e2e::ssh::Client;
use berth_e2e::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::out;

/// Servers in the container: `hello` at 3000 and at a socket, somebody who never reads at 3001, somebody who never stops at
/// 3002.
pub(super) const SERVE: &str = r#"cat > /tmp/serve.py <<'END'
import os, socket, threading, time
def tcp(port):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', port)); s.listen(64); return s
def unix(path):
    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen(64); return s
def hello(c):
    c.recv(4096); c.sendall(b'HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n'); c.close()
def deaf(c):
    kept.append(c)
def loud(c):
    try:
        while True: c.sendall(bytes(65536))
    except OSError: pass
kept = []
def serve(s, what):
    while True:
        c, _ = s.accept()
        threading.Thread(target=what, args=(c,), daemon=True).start()
for s, what in [(tcp(3000), hello), (unix('/tmp/hello.sock'), hello), (tcp(3001), deaf), (tcp(3002), loud)]:
    threading.Thread(target=serve, args=(s, what)).start()
END
setsid python3 /tmp/serve.py > /dev/null 2>&1 < /dev/null &
for i in $(seq 100); do curl -sm2 http://127.0.0.1:3000 && break; sleep 0.1; done"#;

/// What the agent says to "which keys have you": of one key, `12 1`.
const ASK_AGENT: &str = "python3 -c \"import os,socket
s=socket.socket(socket.AF_UNIX); s.connect(os.environ['SSH_AUTH_SOCK']); s.sendall(bytes([0,0,0,1,11]))
a=s.recv(4096); print(a[4], a[8])\"";

pub(super) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port").port()
}

/// A server of this machine; its port.
async fn outside() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _request = client.read(&mut [0; 4096]).await;
                let _gone = client.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\noutside\n").await;
            });
        }
    });
    port
}

pub(super) async fn curl(words: &[&str]) -> Option<String> {
    let output = Command::new("curl").args(["-sSm5"]).args(words).output().await.unwrap();
    output.status.success().then(|| out(&output))
}

pub(super) async fn everything(client: &Client, way: &str) {
    static NEXT: AtomicU16 = AtomicU16::new(4000);
    let there = NEXT.fetch_add(1, Ordering::Relaxed);
    let [to_port, to_socket, dynamic] = [(); 3].map(|()| free_port());
    let here = outside().await;
    let mut ssh = client.command("ssh");
    ssh.args(["-N", "-o", "ExitOnForwardFailure=yes"]);
    ssh.args(["-L", &format!("{to_port}:localhost:3000"), "-L", &format!("{to_socket}:/tmp/hello.sock")]);
    ssh.args(["-D", &dynamic.to_string(), "-R", &format!("{there}:127.0.0.1:{here}")]);
    ssh.args(["-R", &format!("/tmp/out-{there}.sock:127.0.0.1:{here}"), way]);
    let mut ssh = ssh.stdout(Stdio::null()).spawn().unwrap();
    let at = |port: u16| format!("http://127.0.0.1:{port}/");
    until(&format!("{way}: -L to a port"), 20, async || curl(&[&at(to_port)]).await).await;
    assert_eq!(curl(&[&at(to_socket)]).await.as_deref(), Some("hello"), "{way}: -L to a socket");
    let socks = format!("127.0.0.1:{dynamic}");
    let found = curl(&["--socks5-hostname", &socks, "http://localhost:3000/"]).await;
    assert_eq!(found.as_deref(), Some("hello"), "{way}: -D");
    let refused = curl(&["--socks5-hostname", &socks, "http://localhost:9/"]).await;
    assert_eq!(refused, None, "{way}: nobody listens there");
    let back =
        format!("curl -sSm5 http://127.0.0.1:{there}/; curl -sSm5 --unix-socket /tmp/out-{there}.sock http://x/");
    let output = client.output("ssh", &[way, &back]).await;
    assert_eq!(out(&output), "outside\noutside", "{way}: -R {output:?}");
    ssh.kill().await.unwrap();
    // What was listened on for somebody ends with them.
    until(&format!("{way}: the end of -R"), 10, async || {
        let output = client.output("ssh", &[way, &format!("curl -sm5 http://127.0.0.1:{there}/")]).await;
        (output.status.code() == Some(7)).then_some(())
    })
    .await;

    let line = format!(
        "eval $(ssh-agent) >/dev/null; ssh-add -q {}; ssh -F {} -A -o IdentityAgent=$SSH_AUTH_SOCK {way} '{}'; ssh-agent -k >/dev/null",
        client.path("user").display(),
        client.path("config").display(),
        ASK_AGENT.replace('\'', r"'\''"),
    );
    let output = Command::new("bash").args(["-c", &line]).stdin(Stdio::null()).output().await.unwrap();
    assert_eq!(out(&output), "12 1", "{way}: -A {output:?}");
}
