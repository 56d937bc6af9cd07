#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs;

use chrono::{TimeDelta, Utc};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::*;
use crate::keys::{self, CA_CERTIFICATE, CA_KEY};

fn verifier(folder: &std::path::Path) -> Arc<WebPkiServerVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join(CA_CERTIFICATE)).unwrap()).unwrap();
    let provider = Arc::new(ring::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap()
}

#[test]
fn what_the_local_authority_signs_is_good_for_its_names_and_in_its_time() {
    let folder = tempfile::tempdir().unwrap();
    keys::make(folder.path()).unwrap();
    let config = Config { keys: Some(folder.path().to_owned()), ..Config::default() };
    let mut source = Source::open(&config, None).unwrap();
    let Source::Local(authority) = &mut source else { panic!("no files are configured") };
    let now = Utc::now();
    let first = authority.next("compute.example.com", now).unwrap().unwrap();
    assert!(authority.next("compute.example.com", now + TimeDelta::days(59)).unwrap().is_none());
    let second = authority.next("compute.example.com", now + TimeDelta::days(61)).unwrap().unwrap();
    let good = |key: &CertifiedKey, name: &str, day: i64| {
        let at = u64::try_from((now + TimeDelta::days(day)).timestamp()).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let name = name.to_owned().try_into().unwrap();
        verifier(folder.path()).verify_server_cert(&key.cert[0], &key.cert[1..], &name, &[], at).is_ok()
    };
    for name in ["compute.example.com", "bcdfghjk.compute.example.com"] {
        assert!(good(&first, name, 0) && good(&first, name, 89) && !good(&first, name, 91));
        assert!(good(&second, name, 91) && !good(&second, name, 0));
    }
    assert!(!good(&first, "example.com", 0) && !good(&first, "a.b.compute.example.com", 0));
}

/// Signs for `apex` with the authority in `folder` and writes it as files.
fn write_files(folder: &std::path::Path, into: &std::path::Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["compute.example.com".to_owned()]).unwrap();
    fs::write(into.join("tls.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(into.join("tls.key"), key.serialize_pem()).unwrap();
    assert!(folder.join(CA_KEY).exists());
}

#[test]
fn files_are_read_again_when_they_change_and_only_if_they_are_good() {
    let folder = tempfile::tempdir().unwrap();
    keys::make(folder.path()).unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let config = Config {
        keys: Some(folder.path().to_owned()),
        certificate: Some(certificate.clone()),
        certificate_key: Some(key.clone()),
        ..Config::default()
    };
    let error = Source::open(&config, None).unwrap_err().to_string();
    assert!(error.contains("tls.crt"), "{error}");
    write_files(folder.path(), folder.path());
    let mut source = Source::open(&config, None).unwrap();
    let first = source.next("").unwrap().unwrap();
    assert!(source.next("").unwrap().is_none(), "nothing changed");

    let old_key = fs::read(&key).unwrap();
    write_files(folder.path(), folder.path());
    let new_key = fs::read(&key).unwrap();
    fs::write(&key, old_key).unwrap();
    assert!(source.next("").unwrap_err().to_string().contains("tls.key"), "half of a renewal");
    assert!(source.next("").unwrap().is_none(), "is complained of once");
    fs::write(&key, new_key).unwrap();
    let second = source.next("").unwrap().unwrap();
    assert_ne!(first.cert, second.cert);
    fs::write(&certificate, "").unwrap();
    assert!(source.next("").is_err());

    let half = Config { certificate_key: None, ..config };
    assert!(Source::open(&half, None).unwrap_err().to_string().contains("gateway.certificate_key"));
}

#[test]
fn a_handshake_is_for_our_names_alone() {
    let folder = tempfile::tempdir().unwrap();
    keys::make(folder.path()).unwrap();
    let config = Config { keys: Some(folder.path().to_owned()), ..Config::default() };
    let certificates = Certificates::new(Source::open(&config, None).unwrap(), "compute.example.com").unwrap();
    for name in ["compute.example.com", "Compute.Example.com", "bcdfghjk.compute.example.com", "x.compute.example.com."]
    {
        assert!(certificates.is_ours(name), "{name}");
    }
    for name in ["", "example.com", ".compute.example.com", "a.b.compute.example.com", "xcompute.example.com"] {
        assert!(!certificates.is_ours(name), "{name}");
    }
}
