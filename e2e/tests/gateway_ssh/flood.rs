//! Connections that never log in keep nobody out.

use std::time::Duration;

use berth_e2e::berthd::Berthd;
use berth_e2e::ssh::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::out;

const HALF_OPEN: usize = 2000;
const SOON: Duration = Duration::from_secs(2);

pub(super) async fn keeps_nobody_out(client: &Client, berthd: &Berthd) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("as many files as there may be");
    let before = berthd.memory();
    let mut crowd = Vec::new();
    for number in 0..HALF_OPEN {
        let mut stream = TcpStream::connect((berthd.gateway(), 22)).await.expect("a connection of the crowd");
        // Some say nothing, some what every client says.
        if number % 2 == 0 {
            let _pushed_out = stream.write_all(b"SSH-2.0-crowd\r\n").await;
        }
        crowd.push(stream);
    }
    for way in ["by-user", "by-jump"] {
        let begun = Instant::now();
        let output = timeout(SOON, client.output("ssh", &[way, "hostname"])).await;
        let output =
            output.unwrap_or_else(|_| panic!("{way}: no login in {SOON:?} beside {HALF_OPEN} half-open connections"));
        assert_eq!(out(&output), "machine-0", "{way}: {output:?}");
        eprintln!(
            "{way}: a login beside {HALF_OPEN} half-open connections takes {:.3} s",
            begun.elapsed().as_secs_f64()
        );
    }
    eprintln!("{} KiB more memory for them", berthd.memory().saturating_sub(before));
}
