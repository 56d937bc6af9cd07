//! A "public" host: a network namespace at 198.51.100.2, so that no packet of a test leaves the machine.

use std::process::{Child, Command, Stdio};

pub const ADDRESS: &str = "198.51.100.2";
const NAMESPACE: &str = "berth-public";

#[derive(Debug)]
pub struct PublicHost(Child);

fn ip(line: &str) -> bool {
    Command::new("ip").args(line.split(' ')).stderr(Stdio::null()).status().expect("ip runs").success()
}

impl PublicHost {
    /// Listens on TCP 80 and answers every connection with a word.
    pub fn start() -> Self {
        ip(&format!("netns delete {NAMESPACE}"));
        for line in [
            format!("netns add {NAMESPACE}"),
            format!("link add berth-pub type veth peer name eth0 netns {NAMESPACE}"),
            "address add 198.51.100.1/24 dev berth-pub".to_owned(),
            "link set berth-pub up".to_owned(),
            format!("-n {NAMESPACE} address add {ADDRESS}/24 dev eth0"),
            format!("-n {NAMESPACE} link set eth0 up"),
            format!("-n {NAMESPACE} route add default via 198.51.100.1"),
        ] {
            assert!(ip(&line), "ip {line}");
        }
        let listener = format!("--net=/run/netns/{NAMESPACE}");
        let words = [&listener, "socat", "TCP-LISTEN:80,fork,reuseaddr", "SYSTEM:echo public"];
        Self(Command::new("nsenter").args(words).spawn().expect("apt-get install socat"))
    }
}

impl Drop for PublicHost {
    fn drop(&mut self) {
        let ended = self.0.kill().and_then(|()| self.0.wait());
        assert!(ended.is_ok() || std::thread::panicking(), "ending the public host");
        ip("link delete berth-pub");
        ip(&format!("netns delete {NAMESPACE}"));
    }
}

/// A visitor from outside: another network namespace beside the public host, for tests that run at the same time.
#[derive(Debug)]
pub struct Visitor;

const VISITOR: &str = "berth-visitor";

impl Visitor {
    pub fn arrive() -> Self {
        ip("link delete berth-vis");
        ip(&format!("netns delete {VISITOR}"));
        for line in [
            format!("netns add {VISITOR}"),
            format!("link add berth-vis type veth peer name eth0 netns {VISITOR}"),
            "address add 198.51.100.241/30 dev berth-vis".to_owned(),
            "link set berth-vis up".to_owned(),
            format!("-n {VISITOR} address add 198.51.100.242/30 dev eth0"),
            format!("-n {VISITOR} link set eth0 up"),
            format!("-n {VISITOR} route add default via 198.51.100.241"),
        ] {
            assert!(ip(&line), "ip {line}");
        }
        Self
    }

    /// Whether a TCP connection to there is accepted within two seconds.
    pub async fn reaches(&self, address: &str, port: u16) -> bool {
        let mut command = tokio::process::Command::new("nsenter");
        let connect = format!("</dev/tcp/{address}/{port}");
        command.args([&format!("--net=/run/netns/{VISITOR}"), "timeout", "2", "bash", "-c", &connect]);
        command.stderr(Stdio::null()).status().await.expect("nsenter runs").success()
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        ip("link delete berth-vis");
        ip(&format!("netns delete {VISITOR}"));
    }
}
