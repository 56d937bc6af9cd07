//! SSH with OpenSSH's own programs, as root: `spawn` in a root folder, a mount and a process namespace of its own, as main is,
//! `serve` beside it, and between them and the client a gateway that puts a grant in front.
#![allow(clippy::unwrap_used, reason = "test code")]

mod admission;
mod commands;
mod files;
mod forwards;
mod gateway;
mod images;
mod pressure;
mod rekeys;
mod rescue;
mod roots;
mod sessions;
mod terminals;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gateway::Gateway;
use roots::Root;
use tempfile::TempDir;

/// What is tested: the program as it is built here, or the one that is shipped, if this variable names it.
fn program() -> String {
    std::env::var("BERTH_AGENT_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_berth-agent").to_owned())
}

const PATIENCE: Duration = Duration::from_secs(20);

/// A container with its agent and a gateway in front.
struct Lab {
    folder: TempDir,
    root: Root,
    agent: Child,
    spawn: Option<Child>,
    gateway: Gateway,
}

impl Lab {
    fn new(root: Root) -> Self {
        let mut lab = Self::without_spawn(root);
        lab.start_spawn();
        lab
    }

    /// As long as main does not run.
    fn without_spawn(root: Root) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["keys", "link", "disk"] {
            fs::create_dir(path(name)).unwrap();
        }
        for (file, kind) in [("keys/host_key", "ed25519"), ("user", "ed25519"), ("rsa", "rsa"), ("ecdsa", "ecdsa")] {
            let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-f"]).arg(path(file)).status();
            assert!(made.unwrap().success());
        }
        fs::write(path("keys/gateway_keys"), gateway::public_key()).unwrap();
        let host_key = fs::read_to_string(path("keys/host_key.pub")).unwrap();
        fs::write(path("known_hosts"), format!("* {host_key}")).unwrap();

        let mut agent = Command::new(program());
        agent.args(["serve", "--ssh", "127.0.0.1:0", "--container", gateway::CONTAINER, "--since", "5", "--disk"]);
        agent.arg(path("disk")).arg("--keys").arg(path("keys")).arg("--link").arg(path("link"));
        let mut agent = agent.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut errors = BufReader::new(agent.stderr.take().unwrap());
        errors.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("SSH listens on ").unwrap_or_else(|| panic!("{line}"));
        let keys = ["user", "rsa", "ecdsa"].map(|name| fs::read_to_string(path(&format!("{name}.pub"))).unwrap());
        let gateway = Gateway::start(address.parse().unwrap(), &keys);
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        Self { folder, root, agent, spawn: None, gateway }
    }

    fn start_spawn(&mut self) {
        self.spawn = Some(self.root.run(&self.path("link")));
        let socket = self.path("link/spawn");
        until("spawn to listen", || socket.exists().then_some(()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One of OpenSSH's programs, which knows key, host key and port, and nothing of whoever runs the test.
    fn client(&self, program: &str) -> Command {
        self.client_with(program, "user")
    }

    fn client_with(&self, program: &str, key: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-F", "none", "-o"]).arg(format!("Port={}", self.gateway.port())).arg("-i").arg(self.path(key));
        command.arg("-o").arg(format!("UserKnownHostsFile={}", self.path("known_hosts").display()));
        for option in ["StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes"] {
            command.args(["-o", option]);
        }
        command.stdin(Stdio::null()).env_remove("SSH_AUTH_SOCK");
        command
    }

    fn ssh(&self, arguments: &[&str]) -> Command {
        let mut command = self.client("ssh");
        command.args(arguments);
        command
    }

    /// What a command says, which must end well.
    fn run(&self, command: &str) -> String {
        let output = self.ssh(&[HOST, command]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

const HOST: &str = "root@127.0.0.1";

impl Drop for Lab {
    fn drop(&mut self) {
        for child in [Some(&mut self.agent), self.spawn.as_mut()].into_iter().flatten() {
            let _gone = child.kill();
            let _gone = child.wait();
        }
        // With `unshare` killed, process 1 of its namespace is, and all others with it.
        self.root.release();
    }
}

/// Polls for a condition and says what it waited for.
fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "gave up waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A child of the test that ends with it.
struct Kept(Child);

impl Kept {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        let mut line = Vec::new();
        let output = self.0.stdout.as_mut().unwrap();
        let mut byte = [0];
        while output.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8_lossy(&line).trim().to_owned()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}
