//! OpenSSH's server, which lets one key in as root of this machine.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Context;
use berth_e2e::ssh::Client;

use super::{Peer, SERVER, free_port};

const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The host of the client's settings that is this server.
pub(crate) const HOST: &str = "peer";

pub(crate) async fn start(client: &Client) -> anyhow::Result<Peer> {
    let (folder, port) = (tempfile::Builder::new().prefix("sshd").tempdir()?, free_port()?);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut keygen = Command::new("ssh-keygen");
    let made = keygen.args(["-q", "-N", "", "-t", "ed25519", "-f", &path("host")]).status().context("ssh-keygen")?;
    anyhow::ensure!(made.success(), "ssh-keygen makes no host key");
    std::fs::write(path("authorized"), client.user_key())?;
    std::fs::write(
        path("config"),
        format!(
            "ListenAddress {ADDRESS}:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPrintMotd no\nPrintLastLog no\nMaxStartups 1000\nLogLevel ERROR\n\
             SetEnv HOME={}\n",
            path("host"),
            path("authorized"),
            // Not that of this machine's root, whose shell may do more at its start than all of a login.
            folder.path().display()
        ),
    )?;
    // Where the process that has no rights yet is shut in.
    std::fs::create_dir_all("/run/sshd")?;
    let host_key = std::fs::read_to_string(path("host.pub"))?;
    client.trust(HOST, host_key.trim());
    client.configure(&format!("Host {HOST}\nUser root\nHostName {ADDRESS}\nPort {port}\nHostKeyAlias {HOST}"));
    // It starts itself again for each connection, and wants its whole name for that.
    let config = path("config");
    let command = ["/usr/sbin/sshd", "-D", "-e", "-f", &config];
    Peer::start(SERVER, folder, &command)?.listens((ADDRESS, port)).await
}
