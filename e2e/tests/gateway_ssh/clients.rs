//! Clients that are not OpenSSH.

use berth_e2e::berthd::Berthd;
use berth_e2e::ssh::Client;
use tokio::process::Command;
use tokio::time::Instant;

use super::{APEX, out};

/// That the Python clients send and get, paramiko with new keys at every tenth.
const MEGABYTES: &str = "1024";

const BYTES: u64 = 1100 << 20;

pub(super) async fn dropbear(client: &Client, berthd: &Berthd, id: &str) {
    let key = client.dropbear_key().await;
    let gateway = berthd.gateway().to_string();
    for user in [id.to_owned(), format!("root+{id}"), "root".to_owned()] {
        let mut command = Command::new("dbclient");
        command.env("HOME", client.path("")).args(["-y", "-y", "-i", &key]).arg(format!("{user}@{gateway}"));
        let output = command.args(["hostname; exit 5"]).output().await.unwrap();
        assert_eq!((out(&output).as_str(), output.status.code()), ("machine-0", Some(5)), "{user}: {output:?}");
    }
    // It asks for new keys after a GiB and not before.
    let line = format!("dbclient -y -y -i {key} {id}@{gateway} 'head -c {BYTES} /dev/zero' | wc -c");
    let mut much = Command::new("bash");
    let begun = Instant::now();
    let output = much.args(["-c", &line]).env("HOME", client.path("")).output().await.unwrap();
    eprintln!("dropbear: {BYTES} bytes: {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(out(&output), BYTES.to_string(), "{output:?}");
}

/// asyncssh and paramiko, with what OpenSSH's own programs do not ask for.
pub(super) async fn python(client: &Client, berthd: &Berthd, id: &str) {
    for script in [include_str!("asyncssh.py"), include_str!("paramiko.py")] {
        // Debian's, whatever else is on this machine: the packages are its.
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-W", "ignore", "-c", script]).arg(berthd.gateway().to_string()).arg(id);
        command.arg(client.path("user")).arg(berthd.gateway_host_key()).arg(format!("{id}.{APEX}")).arg(MEGABYTES);
        let output = command.kill_on_drop(true).output().await.unwrap();
        assert!(output.status.success(), "{}\n{}", out(&output), super::err(&output));
        eprintln!("{}", out(&output));
    }
}
