//! A key pressed in an SSH session with a terminal until it is back, through the gateway, against sshd, turn by turn.

use tokio::process::Command;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::peers::sshd;
use crate::place::{JUMP, NAMED, Place, at_a_place};
use crate::program::{ECHO, Program};
use crate::table::{Row, Samples};

const ROUNDS: usize = 10;
const KEYS: usize = 50;

pub(crate) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    at_a_place(cluster, 48, echoes).await
}

async fn echoes(place: &Place) -> anyhow::Result<Vec<Row>> {
    let hosts = [NAMED, JUMP, sshd::HOST];
    let mut taken = hosts.map(|_| Samples::default());
    for _ in 0..ROUNDS {
        let mut programs = Vec::new();
        for host in hosts {
            programs.push(Program::open(Command::from(place.ssh(&["-tt", host, ECHO]))).await?);
        }
        for key in ["a", "b"].repeat(KEYS / 2) {
            for (program, taken) in programs.iter_mut().zip(&mut taken) {
                let begun = Instant::now();
                program.key(key).await?;
                taken.push(begun.elapsed());
            }
        }
        for program in programs {
            program.end().await?;
        }
    }
    let [named, jump, peer] = &taken;
    Ok(vec![
        Row::timed("SSH: a key and its echo", named).against("sshd", named, peer),
        Row::timed("SSH: the same by ProxyJump", jump).against("sshd", jump, peer),
    ])
}
