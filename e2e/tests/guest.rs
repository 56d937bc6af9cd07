//! What a person does in the container: root's daily work goes, and its limits are real.
#![allow(clippy::unwrap_used, reason = "test code")]

use berth_e2e::berthd::Berthd;
use berth_e2e::{kubectl, until};

/// A package that dpkg builds and apt installs from a repository on the container's own disk: apt verifies the checksum, unpacks with
/// other owners, runs the maintainer's script as root.
const REPOSITORY: &str = r#"
set -e
mkdir -p /root/repo /root/build/DEBIAN /root/build/usr/games
cd /root
printf 'Package: berth-hello\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: says hello\n' > build/DEBIAN/control
printf '#!/bin/sh\nchown games:games /usr/games/hello && chmod 2755 /usr/games/hello && adduser --system --quiet hello 2>/dev/null || useradd --system hello\n' > build/DEBIAN/postinst
chmod 755 build/DEBIAN/postinst
printf '#!/bin/sh\necho hello\n' > build/usr/games/hello
dpkg-deb --build build repo/berth-hello_1_all.deb >/dev/null
cd repo
{ dpkg-deb -f berth-hello_1_all.deb
  echo "Filename: ./berth-hello_1_all.deb"
  echo "Size: $(stat -c %s berth-hello_1_all.deb)"
  echo "SHA256: $(sha256sum berth-hello_1_all.deb | cut -d' ' -f1)"; } > Packages
rm -f /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] copy:/root/repo ./' > /etc/apt/sources.list.d/local.list
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq berth-hello >/dev/null
/usr/games/hello
stat -c '%U %a' /usr/games/hello
"#;

const DAEMON: &str = r#"python3 -c "
import os, socket
s = socket.socket(); s.bind(('0.0.0.0', 80)); s.listen()
if os.fork(): os._exit(0)
os.setsid(); os.setgid(65534); os.setuid(65534)
[os.close(n) for n in (0, 1, 2)]
while True:
    c, _ = s.accept(); c.send(b'from port 80'); c.close()
" && exec 3<>/dev/tcp/127.0.0.1/80 && cat <&3"#;

#[tokio::test]
async fn root_installs_packages_changes_users_and_serves_port_80() {
    let berthd = Berthd::start().await;
    let ann = berthd.user(95, "ann");
    let id = ann.create("guest").await;
    ann.settled(&id, "running").await;
    let namespace = ann.namespace(&id);
    let run = async |line: &str| {
        kubectl::run(&["-n", &namespace, "exec", "machine-0", "-c", "main", "--", "bash", "-c", line]).await
    };
    assert_eq!(run(REPOSITORY).await, "hello\ngames 2755");
    assert_eq!(run("su -s /bin/bash nobody -c 'id -un'").await, "nobody");
    assert_eq!(run(DAEMON).await, "from port 80");

    // What root may not: raw sockets, devices, mounts, the kernel's settings, tracing of what is not its own.
    for (what, line) in [
        ("raw sockets", "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'"),
        ("devices", "mknod /root/device b 7 0"),
        ("mounts", "mount -t tmpfs none /mnt"),
        ("kernel settings", "echo 1 > /proc/sys/kernel/panic"),
        ("a service account's token", "test -e /var/run/secrets/kubernetes.io"),
        ("namespaces of its own with more rights", "unshare --net true"),
    ] {
        assert!(kubectl::sh(&namespace, line).await.is_none(), "root inside has {what}");
    }
    // Zombies are reaped by the image's init.
    run("for n in 1 2 3; do (setsid true &) ; done").await;
    let reaped = async || kubectl::sh(&namespace, "! grep -l '^State:.Z' /proc/[0-9]*/status").await;
    until("zombies to be reaped", 20, reaped).await;
    // One gigabyte was asked for, and one it is.
    assert!(kubectl::sh(&namespace, "head -c 1100M /dev/zero > /root/big").await.is_none(), "storage_gb is no limit");
    assert!(kubectl::sh(&namespace, "rm -f /root/big && echo fits > /root/small").await.is_some());
    // Memory in use is measured, not invented.
    let used = async || ann.get(&id).await.1["memory_used_mb"].as_i64().filter(|used| (0..=128).contains(used));
    until("memory_used_mb to be known", 120, used).await;
    ann.removed(&id).await;
}
