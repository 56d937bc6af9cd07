#![allow(clippy::unwrap_used, reason = "test code")]

use super::*;

pub(in crate::acme) fn certificate() -> Certificate {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["compute.example.com".to_owned()]).unwrap();
    Certificate::parse(params.self_signed(&key).unwrap().pem(), key.serialize_pem().into()).unwrap()
}

fn wanted(directory: &str, name: &str) -> Wanted {
    Wanted { directory: directory.to_owned(), names: vec![name.to_owned()] }
}

#[test]
fn a_secret_is_read_as_it_was_written() {
    let now = Utc::now();
    let mut state = State::default();
    assert!(State::read(&state.write().unwrap()).unwrap().certificate.is_none());
    state.claim(&wanted("https://ca", "a"), "me", now);
    state.account = Some("{\"id\":1}".to_owned().into());
    state.issued(certificate(), now);
    let data = state.write().unwrap();
    let read = State::read(&data).unwrap();
    assert_eq!(read.book, state.book);
    assert_eq!(read.account.unwrap().expose_secret(), "{\"id\":1}");
    let (read, written) = (read.certificate.unwrap(), state.certificate.clone().unwrap());
    assert_eq!((read.validity, &read.parsed.cert), (written.validity, &written.parsed.cert));
    let key = written.key.expose_secret().lines().nth(1).unwrap().to_owned();
    assert!(!format!("{state:?}").contains(&key) && !format!("{state:?}").contains("\"id\""), "a Debug tells nothing");

    let mut torn = data.clone();
    torn.insert(KEY.to_owned(), State { certificate: Some(certificate()), ..state }.write().unwrap()[KEY].clone());
    assert!(State::read(&torn).unwrap_err().to_string().contains(KEY), "of another certificate");
    let mut strange = data;
    strange.insert(BOOK.to_owned(), ByteString(b"{".to_vec()));
    assert!(State::read(&strange).unwrap_err().to_string().contains(BOOK));
}

#[test]
fn other_settings_begin_anew_and_the_same_names_serve_on() {
    let now = Utc::now();
    let mut state = State::default();
    let first = wanted("https://ca", "a");
    state.claim(&first, "me", now);
    assert_eq!(state.book.claim.as_ref().unwrap().by, "me");
    state.account = Some("account".to_owned().into());
    state.issued(certificate(), now);
    assert!(state.book.claim.is_none() && state.book.renew_at.is_some() && state.serving(&first).is_some());

    state.claim(&first, "me", now);
    state.failed("no".to_owned(), |failures| now + TimeDelta::minutes(failures.into()));
    assert_eq!((state.book.failures, state.book.retry_at), (1, Some(now + TimeDelta::minutes(1))));
    assert!(state.account.is_some() && state.serving(&first).is_some() && state.book.renew_at.is_some());

    let other_directory = wanted("https://other", "a");
    assert!(state.serving(&other_directory).is_some());
    state.claim(&other_directory, "me", now);
    assert!(state.account.is_none() && state.serving(&other_directory).is_some());
    assert_eq!((state.book.failures, state.book.renew_at), (0, None));

    let other_names = wanted("https://other", "b");
    assert!(state.serving(&other_names).is_none());
    state.claim(&other_names, "me", now);
    assert!(state.certificate.is_none());
}
