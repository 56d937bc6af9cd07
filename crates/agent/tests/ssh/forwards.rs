//! Forwarded ports and sockets, in both directions, and the client's key agent.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use crate::roots::Root;
use crate::{HOST, Kept, Lab, text, until};

/// Says everything twice, in capitals, once its client has said all.
fn answer(mut stream: impl Read + Write) {
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    let _gone = stream.write_all(said.to_uppercase().repeat(2).as_bytes());
}

/// A server on this machine, which is the container's network here.
fn tcp_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap())));
    port
}

fn unix_server(path: &std::path::Path) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap())));
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn asked_tcp(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let mut answer = String::new();
    stream.write_all(b"hello ").ok()?;
    stream.shutdown(Shutdown::Write).ok()?;
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn asked_unix(path: &std::path::Path) -> Option<String> {
    let mut stream = UnixStream::connect(path).ok()?;
    let mut answer = String::new();
    stream.write_all(b"hello ").ok()?;
    stream.shutdown(Shutdown::Write).ok()?;
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

const ANSWER: &str = "HELLO HELLO ";

#[test]
fn ports_and_sockets_are_forwarded_to_the_container() {
    let lab = Lab::new(Root::debian());
    let (server, by_number, by_name, to_socket) = (tcp_server(), free_port(), free_port(), free_port());
    unix_server(&lab.root.path("socket"));
    let local = lab.path("local");
    let _client = Kept::start(&mut lab.ssh(&[
        "-N",
        "-L",
        &format!("{by_number}:127.0.0.1:{server}"),
        "-L",
        &format!("{by_name}:localhost:{server}"),
        "-L",
        &format!("{to_socket}:/root/socket"),
        "-L",
        &format!("{}:/root/socket", local.display()),
        HOST,
    ]));
    for port in [by_number, by_name, to_socket] {
        assert_eq!(until("the forwarded port", || asked_tcp(port).filter(|answer| !answer.is_empty())), ANSWER);
    }
    assert_eq!(until("the forwarded socket", || asked_unix(&local)), ANSWER);
    // Where nobody listens nothing is opened, and the others live on.
    let nobody = free_port();
    let refused = lab.ssh(&["-W", &format!("127.0.0.1:{nobody}"), HOST]).output().unwrap();
    assert!(text(&refused).contains("Connection refused"), "{}", text(&refused));
    assert_eq!(asked_tcp(by_number).as_deref(), Some(ANSWER));
}

#[test]
fn ports_and_sockets_are_forwarded_back() {
    let lab = Lab::new(Root::debian());
    let (server, port) = (tcp_server(), free_port());
    unix_server(&lab.path("served"));
    let client = Kept::start(&mut lab.ssh(&[
        "-N",
        "-o",
        "ExitOnForwardFailure=yes",
        "-R",
        &format!("{port}:127.0.0.1:{server}"),
        "-R",
        &format!("/root/back:{}", lab.path("served").display()),
        HOST,
    ]));
    assert_eq!(until("the port in the container", || asked_tcp(port)), ANSWER);
    let inside = lab.root.path("back");
    assert_eq!(until("the socket in the container", || asked_unix(&inside)), ANSWER);
    drop(client);
    until("both to be gone", || (!inside.exists() && TcpStream::connect(("127.0.0.1", port)).is_err()).then_some(()));

    // A port of the agent's choice is told; one that is taken is refused.
    let mut client = lab.ssh(&["-R", &format!("0:127.0.0.1:{server}"), HOST, "echo; read _"]);
    let mut client = Kept::start(client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    client.line();
    let mut errors = client.0.stderr.take().unwrap();
    drop(client.0.stdin.take());
    let mut said = String::new();
    errors.read_to_string(&mut said).unwrap();
    assert!(said.contains("Allocated port "), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("{}:127.0.0.1:{server}", taken.local_addr().unwrap().port()) + "";
    let held = TcpListener::bind(format!("127.0.0.1:{}", taken.split(':').next().unwrap()));
    let refused = lab.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", &taken, HOST, "true"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(255));
    drop(held);
}

#[test]
fn a_socks_proxy_reaches_the_containers_network() {
    let lab = Lab::new(Root::debian());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _request = stream.read(&mut [0; 1024]);
            let _gone = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nthere");
        }
    });
    let proxy = free_port();
    let _client = Kept::start(&mut lab.ssh(&["-N", "-D", &proxy.to_string(), HOST]));
    for scheme in ["socks5", "socks5h", "socks4a"] {
        let url = format!("http://localhost:{server}/");
        let fetched = until("the proxy to answer", || {
            let mut curl = Command::new("curl");
            let output = curl.args(["-s", "-x", &format!("{scheme}://127.0.0.1:{proxy}"), &url]).output().unwrap();
            output.status.success().then_some(output.stdout)
        });
        assert_eq!(fetched, b"there", "{scheme}");
    }
}

#[test]
fn the_clients_key_agent_is_there_for_a_session() {
    let lab = Lab::new(Root::debian());
    let socket = lab.path("keyring");
    let _agent = Kept::start(Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()));
    until("ssh-agent to listen", || socket.exists().then_some(()));
    let added = Command::new("ssh-add").arg("-q").arg(lab.path("ecdsa")).env("SSH_AUTH_SOCK", &socket).status();
    assert!(added.unwrap().success());
    let ssh = |option: &str| {
        let here = format!("IdentityAgent={}", socket.display());
        let client = lab.ssh(&[option, HOST, "ssh-add -l; echo [$SSH_AUTH_SOCK]"]);
        let words = client.get_args().map(|word| if word == "IdentityAgent=none" { here.as_ref() } else { word });
        text(&Command::new("ssh").args(words).stdin(Stdio::null()).output().unwrap())
    };
    let with = ssh("-A");
    assert!(with.contains("(ECDSA)"), "{with}");
    let without = ssh("-a");
    assert!(without.contains("[]\n"), "{without}");
    until("its socket to be gone", || {
        let left = fs::read_dir(lab.path("link")).unwrap().count();
        (left == 1).then_some(())
    });
}

#[test]
fn x11_is_refused_and_the_session_goes_on() {
    let lab = Lab::new(Root::debian());
    let mut command = lab.ssh(&["-X", HOST, "echo [$DISPLAY]"]);
    let output = command.env("DISPLAY", ":99").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "[]\n", "{}", text(&output));
}
