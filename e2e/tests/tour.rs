//! A client in another language, written from the description of the interface alone, does everything once.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::Stdio;

use berth_e2e::berthd::Berthd;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_makes_the_whole_tour() {
    let mut berthd = Berthd::configured();
    let (username, password) = berthd.first_login();
    berthd.launch().await;
    let stranger = berthd.user(4601, "stranger");
    let tour = Command::new("/usr/bin/python3")
        .args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/tour/tour.py")])
        .env("BERTH_URL", berthd.url(""))
        .env("BERTH_USERNAME", username)
        .env("BERTH_PASSWORD", password)
        .env("STRANGER_TOKEN", &stranger.token)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let tour = tour.await.expect("python3 with requests and websocket is installed: scripts/prereqs.sh test");
    let said = String::from_utf8_lossy(&tour.stdout);
    assert!(tour.status.success(), "{said}\n{}", String::from_utf8_lossy(&tour.stderr));
}
