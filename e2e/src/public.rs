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
