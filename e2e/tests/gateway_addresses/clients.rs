//! Clients that are not OpenSSH, at an address of a container's own.

use std::net::IpAddr;

use berth_e2e::berthd::Berthd;
use berth_e2e::ssh::Client;
use tokio::process::Command;

/// Commands with their exit status, and files, by whoever names the container by nothing but the address.
pub(super) async fn others(client: &Client, berthd: &Berthd, address: IpAddr, id: &str) {
    let key = client.dropbear_key().await;
    let ssh = format!("dbclient -y -y -i {key}");
    let place = format!("root@{address}");
    let file = client.path("by-dropbear").display().to_string();
    std::fs::write(&file, "by address").unwrap();
    // OpenSSH's scp over dropbear's connection, by sftp and in the old way.
    let dbclient = client.path("dbclient").display().to_string();
    std::fs::write(&dbclient, format!("#!/bin/sh\nexec {ssh} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&dbclient, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    for (line, code, says) in [
        (format!("{ssh} {place} 'cat mark; exit 7'"), 7, format!("{id}\n")),
        (
            format!("{ssh} {place} 'cat > by-dropbear' < {file} && {ssh} {place} 'cat by-dropbear'"),
            0,
            "by address".into(),
        ),
        (
            format!("scp -q -s -S {dbclient} {file} {place}:copied && {ssh} {place} 'cat copied'"),
            0,
            "by address".into(),
        ),
        (format!("scp -q -O -S {dbclient} {place}:mark {file} && cat {file}"), 0, format!("{id}\n")),
    ] {
        let mut command = Command::new("bash");
        let output = command.args(["-c", &line]).env("HOME", client.path("")).output().await.unwrap();
        assert_eq!(
            (String::from_utf8_lossy(&output.stdout), output.status.code()),
            (says.into(), Some(code)),
            "{line}: {output:?}"
        );
    }
    for script in [include_str!("asyncssh.py"), include_str!("paramiko.py")] {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-W", "ignore", "-c", script]).arg(address.to_string()).arg(id);
        command.arg(client.path("user")).arg(berthd.gateway_host_key());
        let output = command.kill_on_drop(true).output().await.unwrap();
        assert!(output.status.success(), "{address}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
