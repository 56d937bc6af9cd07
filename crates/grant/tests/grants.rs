//! What an agent believes, and everything that it does not.
#![allow(clippy::unwrap_used, reason = "test code")]

use berth_core::id::{ContainerId, Generation};
use berth_grant::ed25519_dalek::SigningKey;
use berth_grant::{Audience, GatewayKeys, Grant, HEAD_LEN, Head, LIFETIME, MAX_KEYS, Nonces, Refusal, SKEW, verify};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use ssh_key::public::{Ed25519PublicKey, KeyData};

const KEYS: [&str; 4] = [
    include_str!("../../core/tests/keys/ed25519.pub"),
    include_str!("../../core/tests/keys/rsa-b3072.pub"),
    include_str!("../../core/tests/keys/ecdsa-b521.pub"),
    include_str!("../../core/tests/keys/sk-ed25519.pub"),
];

fn gateway(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn trusted() -> GatewayKeys {
    vec![gateway(1).verifying_key(), gateway(2).verifying_key()].into()
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn audience() -> Audience {
    Audience { container: "bcdfghjk".parse().unwrap(), since: Generation(5) }
}

fn grant() -> Grant {
    let keys = KEYS.map(|line| ssh_key::PublicKey::from_openssh(line).unwrap().key_data().clone());
    Grant {
        container: audience().container,
        generation: Generation(7),
        keys: keys.to_vec(),
        address: "203.0.113.9:4022".parse().unwrap(),
        expires: now() + LIFETIME,
        nonce: [9; 16],
    }
}

/// What follows the head, which must say exactly how much that is.
fn body(grant: &Grant, key: &SigningKey) -> Vec<u8> {
    let mut framed = grant.sign(key).unwrap();
    let body = framed.split_off(HEAD_LEN);
    assert_eq!(Head::parse(&framed.try_into().unwrap()), Ok(Head { len: body.len() }));
    body
}

fn judge(body: &[u8]) -> Result<Grant, Refusal> {
    verify(body, &trusted(), audience(), now(), &mut Nonces::new(10))
}

#[test]
fn a_gateways_grant_is_believed_as_it_was_written() {
    let v6 = Grant { address: "[2001:db8::1]:22".parse().unwrap(), ..grant() };
    for key in [gateway(1), gateway(2)] {
        for grant in [grant(), v6.clone(), Grant { keys: Vec::new(), ..grant() }] {
            assert_eq!(judge(&body(&grant, &key)), Ok(grant));
        }
    }
}

#[test]
fn everything_else_opens_nothing() {
    let other: ContainerId = "bcdfghjm".parse().unwrap();
    let cases = [
        ("by a key that is no gateway's", grant(), gateway(3), Refusal::Forged),
        ("for another container", Grant { container: other, ..grant() }, gateway(1), Refusal::Foreign),
        ("before the pod was made", Grant { generation: Generation(4), ..grant() }, gateway(1), Refusal::Stale),
        ("expired", Grant { expires: now() - TimeDelta::seconds(1), ..grant() }, gateway(1), Refusal::Expired),
        (
            "for years",
            Grant { expires: now() + LIFETIME + SKEW + TimeDelta::seconds(1), ..grant() },
            gateway(1),
            Refusal::TooLong,
        ),
    ];
    for (what, grant, key, refusal) in cases {
        assert_eq!(judge(&body(&grant, &key)), Err(refusal), "{what}");
    }
    // At its last moment it is good, and where clocks differ as much as they may.
    for expires in [now(), now() + LIFETIME + SKEW] {
        assert!(judge(&body(&Grant { expires, ..grant() }, &gateway(1))).is_ok());
    }
    assert_eq!(
        verify(&body(&grant(), &gateway(1)), &Vec::new().into(), audience(), now(), &mut Nonces::new(1)),
        Err(Refusal::Forged)
    );
}

#[test]
fn it_is_used_once() {
    let mut nonces = Nonces::new(2);
    let mut judge = |nonce: u8, now| {
        let grant = Grant { nonce: [nonce; 16], ..grant() };
        verify(&body(&grant, &gateway(1)), &trusted(), audience(), now, &mut nonces).map(drop)
    };
    assert_eq!(judge(1, now()), Ok(()));
    assert_eq!(judge(1, now()), Err(Refusal::Replayed));
    assert_eq!(judge(1, now() + LIFETIME), Err(Refusal::Replayed), "until it expires");
    assert_eq!(judge(1, now() + LIFETIME + TimeDelta::seconds(1)), Err(Refusal::Expired));
    assert_eq!(judge(2, now()), Ok(()));
    assert_eq!(judge(3, now()), Err(Refusal::Busy), "nothing is forgotten before its time");
    // The same nonce with another expiry is the same nonce.
    let later = Grant { nonce: [2; 16], expires: now() + SKEW + LIFETIME, ..grant() };
    let again = verify(&body(&later, &gateway(1)), &trusted(), audience(), now(), &mut nonces);
    assert_eq!(again.map(drop), Err(Refusal::Replayed));
    // What has expired makes room.
    let next = now() + LIFETIME + TimeDelta::seconds(1);
    let late = Grant { nonce: [4; 16], expires: next + LIFETIME, ..grant() };
    assert!(verify(&body(&late, &gateway(1)), &trusted(), audience(), next, &mut nonces).is_ok());
    assert_eq!(nonces.len(), 1);
}

#[test]
fn a_refused_grant_is_not_remembered() {
    let mut nonces = Nonces::new(10);
    let foreign = Grant { container: "bcdfghjm".parse().unwrap(), ..grant() };
    assert!(verify(&body(&foreign, &gateway(1)), &trusted(), audience(), now(), &mut nonces).is_err());
    assert!(nonces.is_empty());
}

#[test]
fn a_thousand_keys_fit_and_more_do_not() {
    let keys = |count: usize| (0..count).map(|_| KeyData::Ed25519(Ed25519PublicKey([7; 32]))).collect();
    let full = Grant { keys: keys(MAX_KEYS), ..grant() };
    assert_eq!(judge(&body(&full, &gateway(1))), Ok(full));
    assert!(Grant { keys: keys(MAX_KEYS + 1), ..grant() }.sign(&gateway(1)).is_err());
}

#[test]
fn the_gateways_keys_are_a_file_of_public_keys() {
    let line = |key: &SigningKey| {
        let key = KeyData::Ed25519(Ed25519PublicKey(key.verifying_key().to_bytes()));
        ssh_key::PublicKey::from(key).to_openssh().unwrap()
    };
    let text = format!("# current\n{} gateway\n\n# previous\n{}\n", line(&gateway(1)), line(&gateway(2)));
    assert_eq!(GatewayKeys::parse(&text), Ok(trusted()));
    assert_eq!(GatewayKeys::parse(""), Ok(Vec::new().into()));
    assert_eq!(GatewayKeys::parse("\nssh-ed25519 AAAA"), Err(2));
    assert_eq!(GatewayKeys::parse(KEYS[1]), Err(1), "only ed25519 signs grants");
}

proptest! {
    #[test]
    fn a_changed_byte_is_a_forgery(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = body(&grant(), &gateway(1));
        *at.get_mut(&mut bytes) ^= flip;
        prop_assert_eq!(judge(&bytes), Err(Refusal::Forged));
    }

    #[test]
    fn nothing_that_comes_in_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(judge(&bytes), Err(Refusal::Forged));
    }

    /// A gateway that is broken, or another version: signed, and yet read with care.
    #[test]
    fn what_is_signed_is_read_whole_or_not_at_all(cut in any::<prop::sample::Index>(), more in prop::collection::vec(any::<u8>(), 0..40)) {
        use berth_grant::ed25519_dalek::Signer;
        let whole = body(&grant(), &gateway(1));
        let whole = &whole[..whole.len() - 64];
        let mut changed = whole[..cut.index(whole.len())].to_vec();
        changed.extend(more);
        prop_assume!(changed != whole);
        let signature = gateway(1).sign(&[b"berth.dev grant v1\0", changed.as_slice()].concat());
        changed.extend(signature.to_bytes());
        match judge(&changed) {
            Ok(grant) => prop_assert_eq!(body(&grant, &gateway(1)), changed),
            Err(refusal) => prop_assert_ne!(refusal, Refusal::Forged),
        }
    }
}
