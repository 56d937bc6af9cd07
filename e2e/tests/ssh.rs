//! SSH on the real cluster, with OpenSSH's own programs: a session is the container's own, as `kubectl exec` is, on Debian,
//! on busybox and musl, and on an image that holds one program.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use berth_e2e::berthd::{Berthd, User};
use berth_e2e::ssh::Client;
use berth_e2e::{gateway, images, kubectl, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

/// A berthd whose containers can be reached by the tests' gateway.
async fn berthd(image_volumes: &'static str) -> Berthd {
    let keys: &'static str = Box::leak(gateway::public_key().into_boxed_str());
    Berthd::start_with(&[
        ("BERTH_CLUSTER__SSH__GATEWAY_KEYS", keys),
        ("BERTH_CLUSTER__SSH__HOST_KEY_SECRET", "a secret of at least thirty-two bytes"),
        ("BERTH_CLUSTER__IMAGE_VOLUMES", image_volumes),
    ])
    .await
}

/// One container and a client that can log in to it.
struct Machine {
    namespace: String,
    client: Client,
}

impl Machine {
    async fn create(user: &User<'_>, image: Option<&str>) -> (String, Self) {
        let mut body = json!({ "name": "ssh", "memory_mb": 128, "storage_gb": 1 });
        if let Some(image) = image {
            (body["image"], body["pull_policy"]) = (image.into(), "Always".into());
        }
        let (status, answer) = user.call(Method::POST, "/compute/containers", Some(&body)).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let id = answer["id"].as_str().unwrap().to_owned();
        user.settled(&id, "running").await;
        let namespace = user.namespace(&id);
        let machine = Self::reach(namespace, &id).await;
        (id, machine)
    }

    async fn reach(namespace: String, id: &str) -> Self {
        let route = kubectl::run(&["-n", &namespace, "get", "route", id, "-o", "json"]).await;
        let route: Value = serde_json::from_str(&route).unwrap();
        let client = Client::new().await;
        // The host key is the one that the gateway is told.
        client.trust("*", route["spec"]["ssh"]["hostKey"].as_str().unwrap());
        let address =
            kubectl::run(&["-n", &namespace, "get", "pod", "machine-0", "-o", "jsonpath={.status.podIP}"]).await;
        let agent = format!("{address}:22022").parse().unwrap();
        let port = gateway::gateway(agent, id.parse().unwrap(), &client.user_key());
        client.configure(&format!("Port {port}"));
        Self { namespace, client }
    }

    fn client(&self, program: &str) -> Command {
        self.client.command(program)
    }

    async fn output(&self, command: &str) -> Output {
        self.client("ssh").args([HOST, command]).output().await.unwrap()
    }

    async fn ssh(&self, command: &str) -> String {
        let output = self.output(command).await;
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    async fn exec(&self, command: &str) -> String {
        kubectl::run(&["-n", &self.namespace, "exec", "machine-0", "-c", "main", "--", "sh", "-c", command]).await
    }

    /// What a session sees is what `kubectl exec` sees.
    async fn is_the_containers(&self) {
        for command in [
            "cat /proc/self/cgroup",
            "id",
            "mount",
            "df -P | awk '{print $1, $2, $6}'",
            "cat /proc/1/comm /proc/1/cgroup",
            "for ns in self/ns/mnt self/ns/pid self/ns/user self/ns/net 1/ns/mnt; do readlink /proc/$ns; done",
            "grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status; cat /proc/self/limits; umask; hostname",
            "cat /proc/self/oom_score_adj /proc/self/uid_map",
        ] {
            assert_eq!(self.ssh(command).await, self.exec(command).await, "{command}");
        }
        assert!(self.ssh("ps -o comm; true").await.contains("sh"));
        let (ours, theirs) = (self.ssh("env").await, self.exec("env").await);
        let own = ["_=", "PWD=", "SHLVL=", "OLDPWD="];
        for line in theirs.lines().filter(|line| !own.iter().any(|own| line.starts_with(own))) {
            assert!(ours.lines().any(|ours| ours == line), "{line} is not in\n{ours}");
        }
    }
}

const HOST: &str = "root@127.0.0.1";

async fn copied(machine: &Machine) {
    let file = machine.client.path("user.pub");
    let there = machine.client("scp").arg(&file).arg(format!("{HOST}:copied")).output().await.unwrap();
    assert!(there.status.success(), "{there:?}");
    let back = machine.client.path("back");
    let fetched = machine.client("scp").arg(format!("{HOST}:copied")).arg(&back).output().await.unwrap();
    assert!(fetched.status.success(), "{fetched:?}");
    assert_eq!(fs::read(back).unwrap(), fs::read(file).unwrap());
}

#[tokio::test]
async fn a_session_is_the_containers_own() {
    for (image_volumes, user) in [("auto", 4500), ("never", 4501)] {
        let berthd = berthd(image_volumes).await;
        let ann = berthd.user(user, "ann");
        let (id, machine) = Machine::create(&ann, None).await;
        machine.is_the_containers().await;
        copied(&machine).await;
        assert_eq!(machine.output("exit 42").await.status.code(), Some(42));
        // What starts in a session is main's, and nobody has to look after it.
        machine.ssh("setsid sleep 1000 > /dev/null 2>&1 < /dev/null &").await;
        assert_eq!(machine.exec("cat /proc/[0-9]*/comm | grep -c sleep").await, "2");

        // After a restart it is the same host.
        assert_eq!(ann.post(&id, "stop").await.0, StatusCode::OK);
        ann.settled(&id, "stopped").await;
        assert_eq!(ann.post(&id, "start").await.0, StatusCode::OK);
        ann.settled(&id, "running").await;
        let known = fs::read(machine.client.path("known_hosts")).unwrap();
        let again = Machine::reach(machine.namespace.clone(), &id).await;
        assert_eq!(fs::read(again.client.path("known_hosts")).unwrap(), known);
        assert_eq!(again.ssh("echo again").await, "again");
        ann.removed(&id).await;
    }
}

/// An image whose main process is `tini`, whatever that is there.
async fn image(name: &str, fill: impl Fn(&Path)) -> String {
    let files = tempfile::tempdir().unwrap();
    for folder in ["usr/bin", "bin", "etc", "root"] {
        fs::create_dir_all(files.path().join(folder)).unwrap();
    }
    fill(files.path());
    images::push_files(name, files.path(), false).await
}

/// A program of the image's own C library, as every one of Alpine's is: main, where it is `tini`, and whoever asks for its user.
const MUSL: &str = r#"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words) {
    if (strstr(words[0], "tini")) for (;;) pause();
    struct passwd *user = getpwuid(getuid());
    if (!user || !getenv("HOME")) return 1;
    printf("%s %s %s\n", user->pw_name, getenv("HOME"), user->pw_shell);
    return 42;
}
"#;

/// Compiles it, linked to `/lib/ld-musl-<machine>.so.1`, and brings that.
fn musl(root: &Path) {
    let source = root.join("root/musl.c");
    fs::write(&source, MUSL).unwrap();
    let built =
        std::process::Command::new("musl-gcc").arg("-o").arg(root.join("bin/whose")).arg(source).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    fs::copy(root.join("bin/whose"), root.join("usr/bin/tini")).unwrap();
    fs::create_dir_all(root.join("lib")).unwrap();
    // A link to the library itself: copied, it is the file.
    fs::copy(LOADER, root.join(&LOADER[1..])).unwrap();
}

#[cfg(target_arch = "x86_64")]
const LOADER: &str = "/lib/ld-musl-x86_64.so.1";
#[cfg(target_arch = "aarch64")]
const LOADER: &str = "/lib/ld-musl-aarch64.so.1";

/// As Alpine is: musl alone, and busybox for the rest.
#[tokio::test]
async fn busybox_and_musl_are_enough() {
    let image = image("ssh-busybox", |root| {
        musl(root);
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        let names = "sh ash cat id mount df awk readlink grep ps env hostname sleep echo true setsid";
        for name in names.split(' ') {
            symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/ash\n").unwrap();
    })
    .await;
    let berthd = berthd("auto").await;
    let ann = berthd.user(4502, "ann");
    let (id, machine) = Machine::create(&ann, Some(&image)).await;
    machine.is_the_containers().await;
    copied(&machine).await;
    assert_eq!(machine.ssh("echo $SHELL").await, "/bin/ash");
    // musl's programs run: main, and in a session as in `kubectl exec`.
    let linked =
        format!("{LOADER} --list /usr/bin/tini | awk '/=>/{{print $1, $2, $3}}'; grep -o -m 1 {LOADER} /proc/1/maps");
    let libraries = machine.ssh(&linked).await;
    assert!(libraries.starts_with("libc.so => ") && libraries.ends_with(LOADER), "{libraries}");
    assert_eq!(libraries, machine.exec(&linked).await);
    let whose = "whose; echo $?";
    assert_eq!(machine.ssh(whose).await, "root /root /bin/ash\n42");
    assert_eq!(machine.exec(whose).await, "root /root /bin/ash\n42");
    // Without a shell between as well.
    let output = machine.output("exec whose").await;
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(42), &b"root /root /bin/ash\n"[..]));
    ann.removed(&id).await;
}

#[tokio::test]
async fn an_image_with_one_program_has_all_but_a_shell() {
    let image = image("ssh-bare", |root| {
        let pause = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/node/bin/pause");
        fs::copy(pause, root.join("usr/bin/tini")).unwrap();
    })
    .await;
    let berthd = berthd("auto").await;
    let ann = berthd.user(4503, "ann");
    let (id, machine) = Machine::create(&ann, Some(&image)).await;
    let shell = machine.client("ssh").arg(HOST).output().await.unwrap();
    let words = String::from_utf8_lossy(&shell.stderr).into_owned();
    assert!(words.contains("this image has no shell"), "{words}");
    assert_eq!(shell.status.code(), Some(127));
    copied(&machine).await;
    // Forwarding, to a name too: the agent has no library that would look it up for it.
    let host = format!("machine-0.machine.{}.svc.cluster.local", machine.namespace);
    let look = async || {
        let forwarded = machine.client("ssh").args(["-W", &format!("{host}:22022"), HOST]).output().await.unwrap();
        forwarded.status.success().then_some(())
    };
    until("the container's own name to lead to it", 60, look).await;
    ann.removed(&id).await;
}

#[tokio::test]
async fn without_spawn_there_is_a_rescue_shell_and_a_restart_brings_sessions_back() {
    let berthd = berthd("auto").await;
    let ann = berthd.user(4504, "ann");
    let (id, machine) = Machine::create(&ann, None).await;
    machine.ssh("echo kept > /root/file").await;
    let kill = "for it in /proc/[0-9]*; do [ \"$(cat $it/comm)\" != berth-agent ] || kill -9 ${it#/proc/}; done";
    kubectl::sh(&machine.namespace, kill).await.expect("spawn is main's own, and root may end it");
    let folder = machine.ssh("ls").await.split_whitespace().find(|word| word.starts_with("root-")).unwrap().to_owned();
    let rescued = machine.output(&format!("cat {folder}file")).await;
    assert!(String::from_utf8_lossy(&rescued.stderr).contains("rescue shell"), "{rescued:?}");
    assert_eq!(rescued.stdout, b"kept\n");
    // Main alone is started again, and its sessions with it.
    let _ended =
        kubectl::try_run(&["-n", &machine.namespace, "exec", "machine-0", "-c", "main", "--", "kill", "1"]).await;
    until("a session in the next main", 90, async || {
        let output = machine.output("cat /root/file; echo $HOME").await;
        (output.stdout == b"kept\n/root\n").then_some(())
    })
    .await;
    ann.removed(&id).await;
}
