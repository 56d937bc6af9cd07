//! `ssh host true` through the gateway, which logs in to the container, against sshd, turn by turn. The key exchange and the
//! cipher are the same for both.

use std::time::Instant;

use anyhow::Context;
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::machine::waited_for_ticks;
use crate::peers::sshd;
use crate::place::{JUMP, NAMED, Place, at_a_place};
use crate::table::{Row, Samples};

const ROUNDS: usize = 5;
const LOGINS: usize = 40;

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    at_a_place(cluster, 46, measure).await
}

async fn measure(place: &Place) -> anyhow::Result<Vec<Row>> {
    let [mut named, mut jump, mut peer] = [(); 3].map(|()| Samples::default());
    let [mut gateway, mut whole, mut theirs, mut client] = [(); 4].map(|()| Samples::default());
    for _ in 0..ROUNDS {
        let (start, own) = (place.spent().await?, waited_for_ticks(std::process::id())?);
        logins(place, NAMED, &mut named).await?;
        client.push_ms((waited_for_ticks(std::process::id())? - own) as f64 * 10.0 / LOGINS as f64);
        let ours = place.spent().await?;
        logins(place, sshd::HOST, &mut peer).await?;
        let all = place.spent().await?;
        logins(place, JUMP, &mut jump).await?;
        let (ours, peers) = (ours.since(start), all.since(ours));
        let each = |micros: f64| micros / 1000.0 / LOGINS as f64;
        gateway.push_ms(each(ours.gateway));
        whole.push_ms(each(ours.gateway + ours.pod));
        theirs.push_ms(each(peers.peer));
    }
    Ok(vec![
        Row::timed("SSH login: CPU of the gateway", &gateway).against("sshd", &gateway, &theirs).note(
            "aim 0.10; half is the kernel's for packets, a third two key exchanges: it logs in to the pod".to_owned(),
        ),
        Row::timed("SSH login: CPU of gateway and pod", &whole)
            .against("sshd and its shell", &whole, &theirs)
            .note("the pod's: agent, spawn and shell".to_owned()),
        Row::timed("SSH login: CPU of ssh, the client", &client),
        Row::timed("SSH login: ssh host true", &named)
            .against("sshd", &named, &peer)
            .note("aim 0.10; ssh's own work is in it".to_owned()),
        Row::timed("SSH login: the same by ProxyJump", &jump).against("sshd", &jump, &peer),
    ])
}

async fn logins(place: &Place, host: &str, taken: &mut Samples) -> anyhow::Result<()> {
    for _ in 0..LOGINS {
        let mut ssh = Command::from(place.ssh(&[host, "true"]));
        let begun = Instant::now();
        let status = ssh.status().await.context("ssh")?;
        taken.push(begun.elapsed());
        anyhow::ensure!(status.success(), "ssh {host}: {status}");
    }
    Ok(())
}
