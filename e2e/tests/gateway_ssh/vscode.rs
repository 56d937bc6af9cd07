//! What VS Code's Remote-SSH asks of a host, as its logs show it: a shell without a terminal that reads a script, an upload over
//! another connection while the script waits, a server that outlives them, and then everything through `-D` or a forwarded
//! socket. Microsoft's server cannot be had here, so `web` stands for it: WebSockets on a port or on a socket.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use berth_e2e::berthd::Berthd;
use berth_e2e::ssh::Client;
use berth_e2e::{until, web};
use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::forwards::{curl, free_port};
use super::{machine, out};

/// Far above what anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// What its lines are told by from what a login prints.
const MARK: &str = "24940cf2c371";
const SCRIPT: &str = include_str!("vscode.sh");

/// One window of the editor: its connection, and what the script told.
struct Window {
    ssh: Child,
    proxy: u16,
    told: HashMap<String, String>,
    /// The shell reads on for as long as this is open.
    _script: ChildStdin,
}

impl Window {
    async fn open(client: &Client, way: &str, server: &Path) -> Self {
        let proxy = free_port();
        let mut ssh = client.command("ssh");
        ssh.args(["-T", "-D", &proxy.to_string(), "-o", "ConnectTimeout=15", way, "bash"]);
        let mut ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut script, mut told) = (ssh.stdin.take().unwrap(), HashMap::new());
        script.write_all(SCRIPT.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(ssh.stdout.take().unwrap()).lines();
        let read = async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("{way}: {told:?} and no end"));
                if let Some((key, value)) = line.trim_end_matches("==").split_once("==") {
                    told.insert(key.to_owned(), value.to_owned());
                } else if line == format!("{MARK}:trigger_server_download_end") {
                    bring(client, way, server, &told["destFolder"]).await;
                } else if line == format!("{MARK}: end") {
                    return;
                }
            }
        };
        timeout(SOON, read).await.unwrap_or_else(|_| panic!("{way}: the script does not come to its end"));
        Self { ssh, proxy, told, _script: script }
    }

    /// To a port of the container, as the editor's own SOCKS client asks for it.
    async fn connect(&self, port: u16) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.proxy)).await.unwrap();
        stream.write_all(&[5, 1, 0]).await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
        let [high, low] = port.to_be_bytes();
        stream.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).await.unwrap();
        let mut answer = [0; 10];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[1], 0, "port {port} cannot be reached: {answer:?}");
        stream
    }

    fn port(&self) -> u16 {
        self.told["listeningOn"].rsplit(':').next().and_then(|port| port.parse().ok()).unwrap()
    }

    /// The network is gone: nobody says goodbye.
    async fn breaks(mut self) {
        self.ssh.kill().await.unwrap();
    }
}

/// The upload, while the script waits for its second file.
async fn bring(client: &Client, way: &str, server: &Path, folder: &str) {
    let done = client.path("cli.done");
    std::fs::write(&done, "").unwrap();
    for file in [server, done.as_path()] {
        let output = client.output("scp", &["-q", &file.display().to_string(), &format!("{way}:{folder}")]).await;
        assert!(output.status.success(), "{way}: {output:?}");
    }
}

async fn socket(stream: TcpStream) -> WebSocketStream<TcpStream> {
    tokio_tungstenite::client_async("ws://127.0.0.1/ws", stream).await.expect("a WebSocket").0
}

/// A message there and back over each, all at once and each of another size.
async fn talk(sockets: &mut [WebSocketStream<TcpStream>]) {
    let all = sockets.iter_mut().enumerate().map(|(number, socket)| async move {
        let message = Message::binary(vec![number as u8; 1 << (2 * number)]);
        socket.send(message.clone()).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap() == message, "socket {number}");
    });
    timeout(SOON, join_all(all)).await.expect("all answers come");
}

async fn edits(client: &Client, way: &str, server: &Path) {
    let window = Window::open(client, way, server).await;
    assert_eq!(window.told["platform"], "Linux", "{way}");
    assert_eq!(window.told["arch"], std::env::consts::ARCH, "{way}");
    assert_eq!(window.told["literal"], "$HOME `stays`", "{way}: what a here document brought");
    let port = window.port();
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(socket(window.connect(port).await).await);
    }
    // Beside somebody who takes all there is.
    let (proxy, url) = (format!("127.0.0.1:{}", window.proxy), format!("http://127.0.0.1:{port}/big?mib=64"));
    let size = ["--socks5-hostname", &proxy, "--max-time", "60", "-o", "/dev/null", "-w", "%{size_download}", &url];
    let (size, ()) = tokio::join!(curl(&size), talk(&mut sockets));
    assert_eq!(size.as_deref(), Some("67108864"), "{way}");

    // A second window, which finds the server running, over a connection of its own to the server's socket.
    let local = free_port();
    let there = &window.told["socket"];
    let mut forward = client.command("ssh");
    forward.args(["-N", "-T", "-o", "ExitOnForwardFailure=yes", "-L", &format!("{local}:{there}"), way]);
    let mut forward = forward.spawn().unwrap();
    let at = format!("http://127.0.0.1:{local}/");
    until(&format!("{way}: the socket to be reached"), 20, async || curl(&[&at]).await).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(socket(TcpStream::connect(("127.0.0.1", local)).await.unwrap()).await);
    }
    talk(&mut others).await;
    forward.kill().await.unwrap();
    talk(&mut sockets).await;

    // The server is still there for who comes back.
    let pid = window.told["pid"].clone();
    window.breaks().await;
    let window = Window::open(client, way, server).await;
    assert_eq!((&window.told["pid"], window.port()), (&pid, port), "{way}");
    talk(&mut [socket(window.connect(port).await).await]).await;
    let output = client.output("ssh", &[way, "kill $(cat ~/.vscode-server/*.pid); rm -r ~/.vscode-server"]).await;
    assert!(output.status.success(), "{way}: {output:?}");
    window.breaks().await;
}

/// Requests in lines and framed answers, over the standard streams of a command.
async fn commands(client: &Client, way: &str) {
    const SERVE: &str =
        "sh -c 'while IFS= read -r line; do printf \"Content-Length: %s\\r\\n\\r\\n%s\" ${#line} \"$line\"; done'";
    for round in 0..2 {
        let mut ssh = client.command("ssh");
        let ssh = ssh.args(["-T", way, SERVE]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut ssh = ssh.spawn().unwrap();
        let (mut to, mut from) = (ssh.stdin.take().unwrap(), BufReader::new(ssh.stdout.take().unwrap()));
        for number in 0..200 {
            let padding = "x".repeat(number * 100);
            let request = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"{padding}"}}"#);
            to.write_all(format!("{request}\n").as_bytes()).await.unwrap();
            let expected = format!("Content-Length: {}\r\n\r\n{request}", request.len());
            let mut answer = vec![0; expected.len()];
            let read = timeout(SOON, from.read_exact(&mut answer)).await;
            read.unwrap_or_else(|_| panic!("{way}: no answer to {number} in round {round}")).unwrap();
            assert!(answer == expected.as_bytes(), "{way}: {}", String::from_utf8_lossy(&answer));
        }
        // The first breaks, the second ends as its client wants it.
        if round == 0 {
            ssh.kill().await.unwrap();
        } else {
            drop(to);
            assert!(ssh.wait().await.unwrap().success(), "{way}");
        }
    }
    until(&format!("{way}: the broken one's shell to end"), 20, async || {
        let output = client.output("ssh", &[way, "pgrep -f '[C]ontent-Length' || echo none"]).await;
        (out(&output) == "none").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_editor_installs_its_server_and_comes_back_to_it() {
    let berthd = Berthd::start_with_gateway(&[]).await;
    let ann = berthd.user(4630, "ann");
    let (client, id) = machine(&berthd, &ann).await;
    let server = client.path("cli");
    web::strip(&server).await;
    for way in ["by-user", "by-jump"] {
        edits(&client, way, &server).await;
        commands(&client, way).await;
    }
    ann.removed(&id).await;
}
