//! Certificates by ACME, from an authority that asks the gateway's own zone.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use berth_e2e::berthd::Berthd;
use berth_e2e::pebble::{self, Pebble, Version};
use berth_e2e::web::{answers, create, get, host, open};
use berth_e2e::{kubectl, until};
use chrono::{TimeDelta, Utc};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};

const APEX: &str = "compute.berth.local";
const MONTHS: u32 = 90 * 86_400;

fn configure(berthd: &mut Berthd, pebble: &Pebble, secret: &str) {
    berthd.configure(&[
        ("BERTH_GATEWAY__ACME__DIRECTORY", &pebble.directory()),
        ("BERTH_GATEWAY__ACME__ROOT", &pebble.root().display().to_string()),
        ("BERTH_GATEWAY__ACME__AGREE_TO_TERMS", "true"),
        ("BERTH_GATEWAY__ACME__CONTACT", "[\"mailto:operator@berth.local\"]"),
        ("BERTH_GATEWAY__ACME__SECRET", secret),
    ]);
}

/// The certificate of a gateway, if this authority vouches for it.
async fn served(gateway: Ipv4Addr, authority: &Path) -> Option<CertificateDer<'static>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut client =
        rustls::ClientConnection::new(Arc::new(config), ServerName::try_from(APEX.to_owned()).unwrap()).unwrap();
    tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect((gateway, 443)).ok()?;
        while client.is_handshaking() {
            client.complete_io(&mut stream).ok()?;
        }
        client.peer_certificates()?.first().cloned().map(CertificateDer::into_owned)
    })
    .await
    .unwrap()
}

async fn book(secret: &str) -> Value {
    serde_json::from_str(&pebble::kept(secret, "state.json").await).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_order_serves_all_replicas_and_outlives_them() {
    const SECRET: &str = "berth-e2e-acme-shared";
    let mut berthd = Berthd::configured();
    berthd.add_gateway();
    let mut pebble = Pebble::configured(Version::Debian, &berthd.add_zone(), MONTHS);
    configure(&mut berthd, &pebble, SECRET);
    // One that died amid an order left this.
    let claim = json!({ "claim": { "by": "the dead", "until": Utc::now() + TimeDelta::seconds(15) } });
    pebble::secret(SECRET, &claim).await;
    berthd.launch().await;
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("kubeconfig");
    kubectl::credentials_of("berth-gateway", &credentials).await;
    let replica = berthd.replica(&credentials);
    // Nobody orders yet, and the authority is not even there: what is signed here serves until then.
    answers(&berthd, &format!("https://{APEX}/healthz"), 200).await;
    until("a failed try to be told", 60, async || book(SECRET).await["failures"].as_u64().filter(|count| *count > 0))
        .await;
    assert!(book(SECRET).await["error"].as_str().unwrap().contains("Connection refused"));

    pebble.launch().await;
    let authority = pebble.authority().await;
    let first = until("a certificate", 120, async || served(berthd.gateway(), &authority).await).await;
    let same = async || served(replica.address, &authority).await.filter(|other| *other == first);
    until("the replica to have it too", 20, same).await;
    let now = book(SECRET).await;
    assert!(now["claim"].is_null() && now["failures"] == 0 && now["challenges"] == json!([]), "{now}");
    let trusting = ["--cacert", authority.to_str().unwrap()];
    assert_eq!(get(&berthd, &format!("https://{APEX}/healthz"), &trusting).await.0, 200);
    let id = {
        let ann = berthd.user(4780, "ann");
        let id = create(&ann, "secured").await;
        open(&ann, &id, 443).await;
        id
    };
    let url = format!("https://{}/", host(&id));
    until("the container to be reached", 20, async || (get(&berthd, &url, &trusting).await.0 == 200).then_some(()))
        .await;
    #[allow(clippy::cast_precision_loss, reason = "seconds of this century")]
    let soon = (Utc::now() + TimeDelta::days(89)).timestamp() as f64;
    assert!(berthd.metric("berth_gateway_certificate_expiry_timestamp_seconds").await > soon);

    berthd.kill();
    berthd.launch().await;
    let again = until("the same certificate", 20, async || served(berthd.gateway(), &authority).await).await;
    assert_eq!(again, first);
    assert_eq!(pebble.issued(), 1);
    berthd.user(4780, "ann").removed(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_renewed_when_the_authority_says() {
    const SECRET: &str = "berth-e2e-acme-renewed";
    let mut berthd = Berthd::configured();
    berthd.add_gateway();
    // Of its own it would be renewed after half of this.
    let mut pebble = Pebble::configured(Version::Upstream, &berthd.add_zone(), 400);
    configure(&mut berthd, &pebble, SECRET);
    pebble::secret(SECRET, &json!({})).await;
    pebble.launch().await;
    berthd.launch().await;
    let authority = pebble.authority().await;
    let first = until("a certificate", 60, async || served(berthd.gateway(), &authority).await).await;
    until("the directory to have been asked", 20, async || book(SECRET).await["window"].as_object().map(drop)).await;

    pebble.wants_renewed(&pebble::kept(SECRET, "tls.crt").await).await;
    // Asked again at a start; else when the directory said, in six hours.
    berthd.kill();
    berthd.launch().await;
    let changed = async || served(berthd.gateway(), &authority).await.filter(|now| *now != first);
    until("another certificate", 60, changed).await;
    assert_eq!(book(SECRET).await["failures"], 0);
}
