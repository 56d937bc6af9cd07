//! What is open ends with its ground: within five seconds, and with words where there can be some.

use std::process::Stdio;
use std::time::Duration;

use berth_e2e::berthd::Berthd;
use berth_e2e::ssh::Client;
use berth_e2e::{kubectl, until};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use super::{add_key, err, flood, machine, opens, set_ssh};

const SOON: Duration = Duration::from_secs(5);

/// A session that runs.
pub(super) async fn open(client: &Client, way: &'static str) -> (&'static str, Child) {
    let mut ssh = client.command("ssh");
    ssh.args([way, "echo open; exec sleep 1000"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut ssh = ssh.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(ssh.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
    assert_eq!(line, "open\n", "{way}");
    (way, ssh)
}

async fn all_open(client: &Client) -> Vec<(&'static str, Child)> {
    vec![open(client, "by-user").await, open(client, "by-key").await, open(client, "by-jump").await]
}

/// Where the container itself ends too, either may be known first, and is what the session says.
const ENDED: &[&str] = &["access was withdrawn", "main process ended"];
const WITHDRAWN: &[&str] = &["access was withdrawn"];

async fn all_end(sessions: Vec<(&'static str, Child)>, why: &str, words: &[&str]) {
    for (way, session) in sessions {
        let output = timeout(SOON, session.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{why}: the session {way} did not end in {SOON:?}")).unwrap();
        assert_eq!(output.status.code(), Some(255), "{why}: {way}: {output:?}");
        let said = words.iter().any(|words| err(&output).contains(words));
        assert!(way == "by-jump" || said, "{why}: {way}: {output:?}");
    }
}

#[tokio::test]
async fn a_flood_keeps_nobody_out_and_sessions_end_with_what_let_them_in() {
    let berthd = Berthd::start_with_gateway(&[("ADMIN_USERNAME", "boss")]).await;
    let ann = berthd.user(4620, "ann");
    let (client, id) = machine(&berthd, &ann).await;
    flood::keeps_nobody_out(&client, &berthd).await;

    let sessions = all_open(&client).await;
    let keys = ann.call(Method::GET, &format!("/compute/containers/{id}/ssh"), None).await.1;
    let key = keys["ssh_key_ids"][0].as_i64().unwrap();
    assert_eq!(ann.call(Method::DELETE, &format!("/compute/ssh-keys/{key}"), None).await.0, StatusCode::OK);
    all_end(sessions, "the key is removed", WITHDRAWN).await;
    let output = client.output("ssh", &["by-user", "hostname"]).await;
    assert!(err(&output).contains("Permission denied"), "{output:?}");

    let key = add_key(&ann, "again", &client.user_key()).await;
    set_ssh(&ann, &id, true, &[key]).await;
    opens(&client, "by-user").await;
    let sessions = all_open(&client).await;
    set_ssh(&ann, &id, false, &[key]).await;
    all_end(sessions, "SSH is turned off", WITHDRAWN).await;

    set_ssh(&ann, &id, true, &[key]).await;
    opens(&client, "by-user").await;
    let sessions = all_open(&client).await;
    let boss = berthd.user(4621, "boss");
    let suspend = async |suspended: bool| {
        let (path, body) = ("/compute/admin/users/4620/suspension", json!({ "suspended": suspended }));
        assert_eq!(boss.call(Method::PUT, path, Some(&body)).await.0, StatusCode::OK);
    };
    suspend(true).await;
    all_end(sessions, "the user is suspended", ENDED).await;
    suspend(false).await;
    assert_eq!(ann.post(&id, "start").await.0, StatusCode::OK);
    ann.settled(&id, "running").await;

    opens(&client, "by-user").await;
    let sessions = all_open(&client).await;
    assert_eq!(ann.delete(&id).await, StatusCode::OK);
    all_end(sessions, "the container is deleted", ENDED).await;
    let namespace = ann.namespace(&id);
    until("the namespace to go", 60, async || (!kubectl::exists("namespace", &namespace).await).then_some(())).await;
}
