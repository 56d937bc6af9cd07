//! Which images there are, which are refused, and which a start really runs; with the registry down, and with a private one.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process;

use berth_e2e::berthd::{Berthd, User};
use berth_e2e::images::{self, Pushed};
use berth_e2e::private_registry::PrivateRegistry;
use berth_e2e::{kubectl, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Nobody listens there.
const DEAD: (&str, &str) = ("BERTH_REGISTRY__ENDPOINT", "http://127.0.0.1:1");

/// A repository that no earlier run has left on the node.
fn unique(name: &str) -> String {
    format!("images/{name}-{}", process::id())
}

/// A main process whose command line tells the image.
fn says(word: &str) -> [&str; 6] {
    ["/usr/bin/tini", "--", "tail", "-f", "/dev/null", word]
}

async fn create(user: &User<'_>, image: &str, more: Value) -> (StatusCode, Value) {
    let mut body = json!({ "name": "machine", "image": image, "memory_mb": 64, "storage_gb": 1 });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    user.call(Method::POST, "/compute/containers", Some(&body)).await
}

async fn created(user: &User<'_>, image: &str) -> (String, Value) {
    let (status, answer) = create(user, image, json!({})).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    (answer["id"].as_str().unwrap().to_owned(), answer)
}

async fn refused(user: &User<'_>, image: &str, words: &str) {
    let (status, answer) = create(user, image, json!({})).await;
    assert_eq!((status, &answer["field"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("image")), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains(words), "{answer}");
}

#[tokio::test]
async fn what_the_registry_has_is_listed_and_accepted() {
    let repository = unique("listed");
    let mut pushed = Vec::new();
    for tag in ["1", "1.1", "2"] {
        pushed.push(images::push_as(&format!("{repository}:{tag}"), &says(tag), &[]).await);
    }
    let foreign = images::push_as(&format!("{repository}:foreign"), &says("foreign"), &["--arch", "riscv64"]).await;
    let berthd = Berthd::start().await;
    let ann = berthd.user(4100, "ann");
    let (listed, warning) = ann.images().await;
    assert_eq!(warning, None);
    let base = json!({ "name": "base", "image": "registry.berth.internal/berth/base:latest", "source": "builtin" });
    assert_eq!(listed[0], base);
    let ours = listed.iter().filter(|line| line["name"].as_str().unwrap().starts_with(&repository));
    let expected: Vec<Value> = ["1", "1.1", "2", "foreign"]
        .iter()
        .map(|tag| {
            let name = format!("{repository}:{tag}");
            json!({ "image": format!("registry.berth.internal/{name}"), "name": name, "source": "registry" })
        })
        .collect();
    assert_eq!(ours.cloned().collect::<Vec<_>>(), expected);
    let named = |name: &str| listed.iter().any(|line| line["image"].as_str().unwrap().contains(name));
    assert!(named("berth/base:bookworm") && !named("berth/agent"), "{listed:?}");

    let Pushed { reference, digest } = &pushed[2];
    let (id, answer) = created(&ann, reference).await;
    assert_eq!(answer["image_digest"], *digest);
    refused(&ann, &format!("registry.berth.internal/{repository}:3"), "has no").await;
    refused(&ann, "registry.berth.internal/no/such:1", "GET /compute/images").await;
    refused(&ann, &foreign.reference, "is made for riscv64, and the instance type nano is").await;
    refused(&ann, "docker.io/library/debian:12", "comes from registry.berth.internal").await;
    ann.settled(&id, "running").await;
    assert_eq!(ann.get(&id).await.1["image_digest"], *digest, "what runs is what was resolved");
    ann.removed(&id).await;
}

#[tokio::test]
async fn without_the_registry_builtins_still_run() {
    let image = images::push_as(&format!("{}:1", unique("down")), &says("1"), &[]).await;
    let berthd = Berthd::start_with(&[DEAD]).await;
    let ann = berthd.user(4101, "ann");
    let (listed, warning) = ann.images().await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(warning.unwrap().contains("registry.berth.internal does not answer"));
    let (status, answer) = create(&ann, &image.reference, json!({})).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("registry_unavailable")),
        "{answer}"
    );
    let (id, answer) = created(&ann, "base").await;
    assert_eq!(answer["image_digest"], Value::Null);
    ann.settled(&id, "running").await;
    let digest = ann.get(&id).await.1["image_digest"].clone();
    assert!(digest.as_str().unwrap().starts_with("sha256:"), "{digest}");
    ann.removed(&id).await;
}

/// The word of the image whose main process runs, and the digest that is shown.
async fn runs(user: &User<'_>, id: &str) -> (String, String) {
    user.settled(id, "running").await;
    let word = kubectl::sh(&user.namespace(id), "tr '\\0' '\\n' </proc/1/cmdline | tail -1").await.unwrap();
    (word, user.get(id).await.1["image_digest"].as_str().unwrap().to_owned())
}

async fn restart(user: &User<'_>, id: &str) {
    assert_eq!(user.post(id, "stop").await.0, StatusCode::OK);
    user.settled(id, "stopped").await;
    assert_eq!(user.post(id, "start").await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_pull_policy_decides_what_a_restart_runs() {
    let tag = format!("{}:latest", unique("policy"));
    for way in ["auto", "never"] {
        let berthd = Berthd::start_with(&[("BERTH_CLUSTER__IMAGE_VOLUMES", way)]).await;
        let ann = berthd.user(4102, "ann");
        let (one, two) = (format!("one-{way}"), format!("two-{way}"));
        let old = images::push_as(&tag, &says(&one), &[]).await;
        // The node may have another of this tag from the way before.
        let (status, answer) = create(&ann, &old.reference, json!({ "pull_policy": "Always" })).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        let id = answer["id"].as_str().unwrap();
        assert_eq!(runs(&ann, id).await, (one.clone(), old.digest.clone()));
        let policy = format!("/compute/containers/{id}/pull-policy");
        let set = async |policy_name: &str| {
            let body = json!({ "pull_policy": policy_name });
            assert_eq!(ann.call(Method::PUT, &policy, Some(&body)).await.0, StatusCode::OK);
        };

        let new = images::push_as(&tag, &says(&two), &[]).await;
        assert_ne!(old.digest, new.digest);
        set("IfNotPresent").await;
        restart(&ann, id).await;
        assert_eq!(runs(&ann, id).await, (one, old.digest), "{way}: the node has an image of this name");

        set("Always").await;
        restart(&ann, id).await;
        assert_eq!(runs(&ann, id).await, (two, new.digest), "{way}: the registry's is asked for");
        ann.removed(id).await;
    }
}

async fn told(user: &User<'_>, id: &str, words: &[&str]) {
    let check = async || {
        let body = user.get(id).await.1;
        let message = body["message"].as_str()?;
        let failed = body["status"] == "failed" && body["reason"] == "ImagePullFailed";
        (failed
            && message.starts_with("the image cannot be pulled: ")
            && words.iter().all(|word| message.contains(word)))
        .then_some(())
    };
    until(&format!("the failed pull to be told with the words {words:?}"), 120, check).await;
}

#[tokio::test]
async fn a_pull_that_fails_is_told_in_words() {
    for (number, way) in [(0, "auto"), (1, "never")] {
        let image = images::push_lost(&format!("lost-{way}")).await;
        let berthd = Berthd::start_with(&[("BERTH_CLUSTER__IMAGE_VOLUMES", way)]).await;
        let ann = berthd.user(4103 + number, "ann");
        let (id, _) = created(&ann, &image).await;
        told(&ann, &id, &[&image, "not found"]).await;
        ann.removed(&id).await;
    }
}

#[tokio::test]
async fn a_private_registry_wants_berths_credentials() {
    let mut registry = PrivateRegistry::open(&format!("private-{}.berth.internal", process::id())).await;
    let image = registry.push("team/app:1", &says("private"));
    registry.close().await;
    let builtins = format!(
        "[{{name=\"base\",image=\"registry.berth.internal/berth/base:latest\"}},{{name=\"app\",image=\"{}\"}}]",
        image.reference
    );
    let (endpoint, wrong, right) =
        (registry.endpoint(), registry.password_file("wrong"), registry.password_file("right"));
    let mut berthd = Berthd::start_with(&[
        ("BERTH_API__IMAGES__REGISTRY", &registry.name),
        ("BERTH_API__IMAGES__BUILTINS", &builtins),
        ("BERTH_REGISTRY__ENDPOINT", &endpoint),
    ])
    .await;

    // Without credentials: the operator's word that there is such an image lets it in, and the node is refused.
    let ann = berthd.user(4105, "ann");
    let warning = ann.images().await.1.unwrap();
    assert!(warning.contains("does not let Berth list its images"), "{warning}");
    refused(&ann, &format!("{}/team/app:2", registry.name), "Berth's credentials").await;
    let (without, _) = created(&ann, "app").await;
    told(&ann, &without, &[&image.reference, "authorization"]).await;
    ann.removed(&without).await;

    // With wrong ones the pod names them, and gets the right ones as soon as berthd knows them.
    berthd.kill();
    berthd.configure(&[("BERTH_REGISTRY__USERNAME", "berth"), ("BERTH_REGISTRY__PASSWORD_FILE", &wrong)]);
    berthd.launch().await;
    let ann = berthd.user(4105, "ann");
    let (id, answer) = created(&ann, "app").await;
    assert_eq!(answer["image_digest"], Value::Null);
    told(&ann, &id, &[&image.reference, "401"]).await;
    let pod = async || {
        let found = ["-n", &ann.namespace(&id), "get", "pod", "machine-0", "-o", "jsonpath={.metadata.uid}"];
        kubectl::run(&found).await
    };
    let before = pod().await;
    berthd.kill();
    berthd.configure(&[("BERTH_REGISTRY__PASSWORD_FILE", &right)]);
    berthd.launch().await;
    let ann = berthd.user(4105, "ann");
    assert_eq!(runs(&ann, &id).await, ("private".to_owned(), image.digest.clone()));
    let namespace = ann.namespace(&id);
    let found = ["-n", &namespace, "get", "pod", "machine-0", "-o", "jsonpath={.metadata.uid}"];
    assert_eq!(kubectl::run(&found).await, before, "the same pod");

    let (listed, warning) = ann.images().await;
    assert_eq!(warning, None);
    assert!(listed.iter().any(|line| line["image"] == *image.reference), "{listed:?}");
    ann.removed(&id).await;
    let log = berthd.log();
    assert!(!log.contains("right\"") && !log.contains("dockerconfigjson"), "credentials stay out of the log");
}
