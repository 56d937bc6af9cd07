//! Against a registry that runs here: Distribution, as the embedded node has it.
#![allow(clippy::unwrap_used, reason = "test code")]

mod server;

use std::time::Duration;

use berth_core::image::ImageRef;
use berth_core::registry::{Catalogue, Credentials, Lacking, Unresolved};
use berth_registry::{Config, Registry};
use oci_client::manifest::IMAGE_CONFIG_MEDIA_TYPE;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::Instant;

use server::Server;

const NAME: &str = "registry.example";

fn asked(authority: &str, credentials: Option<(&str, &str)>) -> Registry {
    asked_but(authority, credentials, &["registry.example/berth/agent:1", "elsewhere.example/team/app:1"])
}

fn asked_but(authority: &str, credentials: Option<(&str, &str)>, hidden: &[&str]) -> Registry {
    let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
    let config = Config { endpoint: Some(format!("http://{authority}").parse().unwrap()), ..Config::default() };
    let credentials = credentials.map(|(username, password)| Credentials {
        username: username.to_owned(),
        password: SecretString::from(password),
    });
    Registry::new(NAME, &config, credentials, hidden).unwrap()
}

fn image(name: &str) -> ImageRef {
    ImageRef::from_stored(format!("{NAME}/{name}"))
}

fn now() -> Instant {
    Instant::now()
}

fn names(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.images.iter().map(|offered| offered.name.as_str()).collect()
}

#[tokio::test]
async fn what_references_stand_for() {
    let server = Server::start(false).await;
    let registry = asked(&server.authority, None);
    let one = server.push_image("team/app:1", "linux", "riscv64").await;
    let two = server.push_index("team/app:2", &[("linux", "amd64"), ("windows", "amd64"), ("linux", "arm64")]).await;
    server.push_image("team/app:windows", "windows", "amd64").await;
    for (name, digest, architectures) in [
        ("team/app:1".to_owned(), &one, "riscv64"),
        (format!("team/app@{one}"), &one, "riscv64"),
        ("team/app:2".to_owned(), &two, "amd64 arm64"),
    ] {
        let resolved = registry.resolve(&image(&name), now()).await.unwrap();
        assert_eq!(
            (resolved.digest.as_str(), resolved.architectures.join(" ")),
            (digest.as_str(), architectures.to_owned()),
            "{name}"
        );
    }
    assert!(registry.resolve(&image("team/app:windows"), now()).await.unwrap().architectures.is_empty());
}

#[tokio::test]
async fn what_is_no_image_is_told_apart() {
    let server = Server::start(false).await;
    let registry = asked(&server.authority, None);
    server.push_image("team/app:1", "linux", "amd64").await;
    server.push("team/chart:1", "application/vnd.cncf.helm.config.v1+json", b"{}".to_vec()).await;
    server.push("team/odd:1", IMAGE_CONFIG_MEDIA_TYPE, b"no json".to_vec()).await;
    server.push("team/large:1", IMAGE_CONFIG_MEDIA_TYPE, vec![b' '; 5 << 20]).await;
    let unknown = format!("team/app@sha256:{}", "0".repeat(64));
    for (name, why) in [
        ("team/app:2", Unresolved::Absent),
        ("team/other:1", Unresolved::Absent),
        (unknown.as_str(), Unresolved::Absent),
        ("team/chart:1", Unresolved::NotAnImage),
        ("team/odd:1", Unresolved::NotAnImage),
        ("team/large:1", Unresolved::NotAnImage),
    ] {
        assert_eq!(registry.resolve(&image(name), now()).await, Err(why), "{name}");
    }
    let elsewhere = ImageRef::from_stored("elsewhere.example/team/app:1".to_owned());
    assert_eq!(registry.resolve(&elsewhere, now()).await, Err(Unresolved::Elsewhere));
}

#[tokio::test]
async fn every_repository_and_tag_is_listed() {
    let server = Server::start(false).await;
    let registry = asked(&server.authority, None);
    assert_eq!(
        registry.catalogue(now()).await,
        Catalogue::default(),
        "an empty registry offers nothing, and that is all"
    );

    server.push_image("team/app:1", "linux", "amd64").await;
    server.pretend("berth/agent", &["1".to_owned()]);
    server.pretend("empty", &[]);
    // More than one page of either; of most repositories the tags are not asked, which would take long on a busy machine.
    let tags: Vec<String> = (0..1100).map(|number| format!("v{number:04}")).collect();
    server.pretend("many/tags", &tags);
    let repositories: Vec<String> = (0..1100).map(|number| format!("many/{number:04}")).collect();
    repositories.iter().for_each(|repository| server.pretend(repository, &["latest".to_owned()]));
    let hidden: Vec<String> = repositories[2..1098].iter().map(|name| format!("{NAME}/{name}:latest")).collect();
    let registry = asked_but(&server.authority, None, &hidden.iter().map(String::as_str).collect::<Vec<_>>());
    let listed = registry.catalogue(now()).await;
    let mut expected: Vec<String> = [0, 1, 1098, 1099].map(|number| format!("many/{number:04}:latest")).to_vec();
    expected.insert(0, "berth/agent:1".to_owned());
    expected.extend(tags.iter().map(|tag| format!("many/tags:{tag}")));
    expected.push("team/app:1".to_owned());
    assert_eq!((listed.lacking, names(&listed)), (None, expected.iter().map(String::as_str).collect()));
    assert_eq!(listed.images.last().unwrap().image, image("team/app:1"));
}

#[tokio::test]
async fn no_more_is_listed_than_anybody_reads() {
    let server = Server::start(false).await;
    let tags: Vec<String> = (0..2600).map(|number| format!("v{number:04}")).collect();
    for repository in ["a", "b"] {
        server.pretend(repository, &tags);
    }
    let listed = asked(&server.authority, None).catalogue(now()).await;
    assert_eq!((listed.lacking, listed.images.len()), (Some(Lacking::TooMany), 5000));
}

#[tokio::test]
async fn a_new_tag_shows_within_half_a_minute() {
    let server = Server::start(false).await;
    server.pretend("berth/agent", &["1".to_owned()]);
    let registry = asked(&server.authority, None);
    server.push_image("team/app:1", "linux", "amd64").await;
    assert_eq!(names(&registry.catalogue(now()).await), ["team/app:1"]);
    let first = registry.resolve(&image("team/app:1"), now()).await.unwrap();
    server.push_image("team/app:2", "linux", "amd64").await;
    server.push_image("team/app:1", "linux", "arm64").await;
    assert_eq!(names(&registry.catalogue(now()).await), ["team/app:1"], "it is not read again at once");
    let later = now() + Duration::from_secs(30);
    assert_eq!(names(&registry.catalogue(later).await), ["team/app:1", "team/app:2"]);
    assert_ne!(registry.resolve(&image("team/app:1"), later).await.unwrap(), first);
}

#[tokio::test]
async fn a_private_registry_wants_the_right_credentials() {
    let server = Server::start(true).await;
    server.push_image("team/app:1", "linux", "amd64").await;
    for credentials in [None, Some(("berth", "wrong"))] {
        let registry = asked(&server.authority, credentials);
        assert_eq!(registry.resolve(&image("team/app:1"), now()).await, Err(Unresolved::Forbidden));
        let listed = registry.catalogue(now()).await;
        assert_eq!((listed.images.len(), listed.lacking), (0, Some(Lacking::Forbidden)));
    }
    let registry = asked(&server.authority, Some(("berth", "right")));
    assert_eq!(registry.resolve(&image("team/app:1"), now()).await.unwrap().architectures, ["amd64"]);
    assert_eq!(names(&registry.catalogue(now()).await), ["team/app:1"]);
    assert!(!format!("{registry:?}").contains("right"));
}

#[tokio::test]
async fn a_registry_that_is_down_or_silent_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for authority in ["127.0.0.1:1".to_owned(), silent.local_addr().unwrap().to_string()] {
        let registry = asked(&authority, None);
        assert_eq!(registry.resolve(&image("team/app:1"), now()).await, Err(Unresolved::NoAnswer), "{authority}");
        assert_eq!(registry.catalogue(now()).await.lacking, Some(Lacking::NoAnswer), "{authority}");
    }
}
