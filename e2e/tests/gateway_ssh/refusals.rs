//! Who is not let in, and what they hear: nothing that tells a container of somebody else from one that is not there.

use std::process::Output;
use std::time::Duration;

use berth_e2e::berthd::Berthd;
use berth_e2e::ssh::Client;
use berth_e2e::{until, web};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{APEX, err, machine, opens, out, set_ssh};

/// Everything that somebody sees, with the name that they asked for taken out.
fn seen(output: &Output, id: &str) -> (Option<i32>, String, String) {
    (output.status.code(), out(output), err(output).replace(id, "…"))
}

async fn ssh(client: &Client, options: &[&str], user: &str) -> Output {
    client.output("ssh", &[options, &[&format!("{user}@{APEX}"), "hostname"]].concat()).await
}

/// By a jump alone, without the session inside.
async fn jump(client: &Client, to: &str) -> Output {
    client.output("ssh", &["-W", to, &format!("gw@{APEX}")]).await
}

fn denied(output: &Output) {
    assert!(err(output).contains("Permission denied (publickey"), "{output:?}");
    assert_eq!((output.status.code(), out(output).as_str()), (Some(255), ""), "{output:?}");
}

fn told(output: &Output, parts: &[&str]) {
    assert_eq!((output.status.code(), out(output).as_str()), (Some(1), ""), "{output:?}");
    parts.iter().for_each(|part| assert!(err(output).contains(part), "{part}: {output:?}"));
}

/// How long a connection that says nothing is kept.
async fn patience(berthd: &Berthd) -> Duration {
    let mut silent = TcpStream::connect((berthd.gateway(), 22)).await.unwrap();
    let begun = Instant::now();
    let ended = timeout(Duration::from_secs(30), silent.read_to_end(&mut Vec::new())).await;
    let _reset = ended.expect("the gateway ends a connection that says nothing within 30 seconds");
    begun.elapsed()
}

#[tokio::test]
async fn nobody_learns_of_containers_that_are_not_theirs() {
    let berthd = Berthd::start_with_gateway(&[]).await;
    let (ann, bob) = (berthd.user(4610, "ann"), berthd.user(4611, "bob"));
    let (others, foreign) = machine(&berthd, &bob).await;
    let (client, own) = machine(&berthd, &ann).await;
    let unknown = "zzzzzzzz";
    let not_batch = ["-o", "BatchMode=no"];
    let second = ann.create("second").await;
    let checks = async {
        // A key that nobody knows.
        let stranger = super::client(&berthd).await;
        for user in [own.as_str(), "root", "gw", "ann", unknown] {
            denied(&ssh(&stranger, &[], user).await);
        }

        // Somebody else's container, and none at all.
        for options in [&[][..], &not_batch] {
            let answers = [&foreign, unknown].map(|id| ssh(&client, options, id));
            let [theirs, none] = futures::future::join_all(answers).await.try_into().unwrap();
            assert_eq!(seen(&theirs, &foreign), seen(&none, unknown));
            if options.is_empty() { denied(&none) } else { told(&none, &[&format!("ssh {own}@{APEX}")]) }
        }
        let mut answers = Vec::new();
        for (id, to) in [
            (foreign.as_str(), format!("{foreign}.{APEX}:22")),
            (unknown, format!("{unknown}.{APEX}:22")),
            (unknown, format!("{unknown}:22")),
            (own.as_str(), format!("{own}.{APEX}:23")),
            (unknown, "127.0.0.1:22".to_owned()),
        ] {
            answers.push(seen(&jump(&client, &to).await, id));
        }
        assert!(answers[0].2.contains("no container of this name accepts this key"), "{answers:?}");
        assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");

        // Whoever owns containers is told what works, where nothing says which is meant.
        for user in ["ubuntu", "gw"] {
            let output = ssh(&client, &[], user).await;
            told(&output, &[&format!("  ssh {own}@{APEX}\n"), &format!("ssh -J gw@{APEX} root@{own}.{APEX}")]);
            assert!(!err(&output).contains(&foreign), "{output:?}");
        }
        let terminal = client.output("ssh", &["-tt", &format!("ubuntu@{APEX}")]).await;
        assert!(out(&terminal).is_empty() && err(&terminal).contains(&own), "{terminal:?}");

        // Of several keys the one counts that opens what was named.
        others.configure(&format!("Host *\nIdentityFile {}", client.path("user").display()));
        let output = ssh(&others, &[], &foreign).await;
        assert_eq!(out(&output), "machine-0", "{output:?}");

        // Six attempts.
        for number in 0..7 {
            let name = format!("many{number}");
            stranger.make_key(&name).await;
            stranger.configure(&format!("Host *\nIdentityFile {}", stranger.path(&name).display()));
        }
        let output = ssh(&stranger, &[], &own).await;
        assert!(err(&output).contains("Too many authentication attempts"), "{output:?}");

        // Two containers, and the key alone does not say which.
        let keys = ann.call(Method::GET, &format!("/compute/containers/{own}/ssh"), None).await.1;
        let key = keys["ssh_key_ids"][0].as_i64().unwrap();
        set_ssh(&ann, &second, true, &[key]).await;
        until("the second container to count", 10, async || {
            let output = client.output("ssh", &["by-key", "hostname"]).await;
            (output.status.code() == Some(1) && err(&output).contains(&second) && err(&output).contains(&own))
                .then_some(())
        })
        .await;
        // SSH that is off is a container that is not there.
        set_ssh(&ann, &second, false, &[key]).await;
        opens(&client, "by-key").await;
        let (off, none) = (ssh(&client, &not_batch, &second).await, ssh(&client, &not_batch, unknown).await);
        assert_eq!(seen(&off, &second), seen(&none, unknown));
        assert_eq!(seen(&jump(&client, &format!("{second}:22")).await, &second), answers[1]);

        // Stopped.
        assert_eq!(ann.post(&own, "stop").await.0, StatusCode::OK);
        ann.settled(&own, "stopped").await;
        let stopped = format!("{own} is stopped; start it");
        until("the pod's address to be gone", 10, async || {
            let output = ssh(&client, &[], &own).await;
            (output.status.code() == Some(1) && err(&output).contains(&stopped)).then_some(())
        })
        .await;
        let output = jump(&client, &format!("{own}:22")).await;
        assert!(err(&output).contains(&stopped), "{output:?}");
        assert!(!output.status.success());
        let output = client.output("sftp", &["by-user"]).await;
        assert!(err(&output).contains(&stopped), "{output:?}");
        assert_eq!(ann.post(&own, "start").await.0, StatusCode::OK);
        opens(&client, "by-user").await;
        // The host key is the container's own for good.
        opens(&client, "by-jump").await;
    };
    let (patience, ()) = tokio::join!(patience(&berthd), checks);
    assert!((15..30).contains(&patience.as_secs()), "{patience:?}");
    tokio::join!(ann.removed(&own), ann.removed(&second), bob.removed(&foreign));
}

/// More memory than the node has: it starts for as long as nobody makes room.
#[tokio::test]
async fn a_container_that_is_starting_says_so() {
    let berthd = Berthd::start_with_gateway(&[]).await;
    let ann = berthd.user(4612, "ann");
    let client = super::client(&berthd).await;
    let key = super::add_key(&ann, "laptop", &client.user_key()).await;
    let body =
        json!({ "name": "large", "memory_mb": 262_144, "storage_gb": 1, "ssh_enabled": true, "ssh_key_ids": [key] });
    let made = super::call(&ann, Method::POST, "/compute/containers", body).await;
    let id = made["id"].as_str().unwrap().to_owned();
    web::open(&ann, &id, 80).await;
    let words = format!("{id} is starting; try again in a moment");
    until("the gateway to know it", 30, async || {
        let output = ssh(&client, &[], &id).await;
        (output.status.code() == Some(1) && err(&output).contains(&words)).then_some(())
    })
    .await;
    let output = jump(&client, &format!("{id}:22")).await;
    assert!(err(&output).contains(&words) && !output.status.success(), "{output:?}");
    let url = format!("http://{}/", web::host(&id));
    web::answers(&berthd, &url, 503).await;
    let (status, page) = web::get(&berthd, &url, &["-H", "Accept: text/html", "--include"]).await;
    assert!(status == 503 && page.contains("This container is starting"), "{page}");
    assert!(page.to_ascii_lowercase().contains("retry-after: 2"), "{page}");
    ann.removed(&id).await;
}
