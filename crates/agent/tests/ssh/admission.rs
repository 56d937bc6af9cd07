//! Who gets in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

use berth_core::id::Generation;
use berth_grant::Grant;
use chrono::TimeDelta;
use ed25519_dalek::SigningKey;

use crate::gateway::signing_key;
use crate::roots::Root;
use crate::{HOST, Lab};

fn login(lab: &Lab, key: &str) -> Output {
    lab.client_with("ssh", key).args([HOST, "echo in"]).output().unwrap()
}

#[test]
fn the_grants_keys_log_in_and_no_others() {
    let lab = Lab::new(Root::debian());
    for key in ["user", "rsa", "ecdsa"] {
        assert_eq!(String::from_utf8_lossy(&login(&lab, key).stdout), "in\n", "{key}");
    }
    // Another user's name is the same container's user.
    assert_eq!(String::from_utf8_lossy(&lab.ssh(&["anybody@127.0.0.1", "id -un"]).output().unwrap().stdout), "root\n");
    let mut made = Command::new("ssh-keygen");
    made.args(["-q", "-N", "", "-t", "ed25519", "-f"]).arg(lab.path("stranger"));
    assert!(made.status().unwrap().success());
    assert!(crate::text(&login(&lab, "stranger")).contains("Permission denied (publickey)"));

    // A key that is removed is out with the next connection.
    let rsa = std::fs::read_to_string(lab.path("rsa.pub")).unwrap();
    let rsa = ssh_key::PublicKey::from_openssh(&rsa).unwrap().key_data().clone();
    lab.gateway.forge(move |grant| {
        let keys = vec![rsa.clone()];
        Grant { keys, ..grant }.sign(&signing_key()).unwrap()
    });
    assert!(crate::text(&lab.ssh(&[HOST, "true"]).output().unwrap()).contains("Permission denied (publickey)"));
    assert_eq!(String::from_utf8_lossy(&login(&lab, "rsa").stdout), "in\n");
}

/// How each of these is made from the grant that is due.
type Forgery = fn(Grant) -> Vec<u8>;

#[test]
fn a_forged_foreign_old_or_expired_grant_opens_nothing() {
    let lab = Lab::new(Root::debian());
    let forgeries: [(&str, Forgery); 7] = [
        ("no grant", |_| Vec::new()),
        ("another's key", |grant| grant.sign(&SigningKey::from_bytes(&[4; 32])).unwrap()),
        ("another container's", |grant| {
            Grant { container: "bcdfghjm".parse().unwrap(), ..grant }.sign(&signing_key()).unwrap()
        }),
        ("one of an earlier pod", |grant| Grant { generation: Generation(4), ..grant }.sign(&signing_key()).unwrap()),
        ("an expired one", |grant| {
            Grant { expires: grant.expires - TimeDelta::seconds(40), ..grant }.sign(&signing_key()).unwrap()
        }),
        ("one for a day", |grant| {
            Grant { expires: grant.expires + TimeDelta::days(1), ..grant }.sign(&signing_key()).unwrap()
        }),
        ("a changed one", |grant| {
            let mut bytes = grant.sign(&signing_key()).unwrap();
            bytes[20] ^= 1;
            bytes
        }),
    ];
    for (what, forgery) in forgeries {
        lab.gateway.forge(forgery);
        let output = lab.ssh(&[HOST, "echo in"]).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(255), &b""[..]), "{what}");
    }
    lab.gateway.forge(|grant| grant.sign(&signing_key()).unwrap());
    assert_eq!(lab.run("echo in"), "in\n");
}

#[test]
fn a_grant_opens_one_connection() {
    let lab = Lab::new(Root::debian());
    let once = lab.gateway.grant().sign(&signing_key()).unwrap();
    lab.gateway.forge(move |_| once.clone());
    assert_eq!(lab.run("echo in"), "in\n");
    assert_eq!(lab.ssh(&[HOST, "echo in"]).output().unwrap().status.code(), Some(255));
}

#[test]
fn whoever_reaches_the_port_is_told_nothing() {
    let lab = Lab::new(Root::debian());
    for ahead in
        [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], b"BERTH\0\0\x01\xff\xff\xff\xff"]
    {
        let mut stream = TcpStream::connect(lab.gateway.agent).unwrap();
        stream.write_all(ahead).unwrap();
        let mut answer = Vec::new();
        // It may be reset, for what it sent was not read to the end.
        let _reset = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:?}");
    }
}
