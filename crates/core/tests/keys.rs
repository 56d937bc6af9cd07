//! SSH keys of every kind, made by ssh-keygen, and what people paste instead of one.
#![allow(clippy::unwrap_used, reason = "test code")]

use berth_core::key::PublicKey;
use proptest::prelude::*;

const ED25519: &str = include_str!("keys/ed25519.pub");
const RSA: &str = include_str!("keys/rsa-b3072.pub");
const CERTIFICATE: &str = include_str!("keys/ecdsa-b256-cert.pub");

/// Line and the fingerprint that `ssh-keygen -lf` prints.
const GOOD: [(&str, &str); 7] = [
    (ED25519, "SHA256:vymujbyaTD3KEY1dibFH4uMamaMmlcM9XO2rJuabifw"),
    (include_str!("keys/ecdsa-b256.pub"), "SHA256:sczYty10b79jjDCsn6HQtXBj1PAUoFwN4H67hByEQ/w"),
    (include_str!("keys/ecdsa-b384.pub"), "SHA256:1eazjlXj5ADwUZPMjBVNg4dXwX6nKkiuDIz7hhbjyiw"),
    (include_str!("keys/ecdsa-b521.pub"), "SHA256:bFreqdhYuKn2hTmUyxBEiSsYcqztqrc5Ayja+PIjLWg"),
    (RSA, "SHA256:cJEpfGGtJrgbErLclYYF6+jXMggXuahOtnY2ncMRXeA"),
    (include_str!("keys/sk-ed25519.pub"), "SHA256:mDHQB9iXKxTD3M0jWoxM2wz//NAJC2TQL7CYpU15Uqk"),
    (include_str!("keys/sk-ecdsa.pub"), "SHA256:JmMpT4ebOHQnmcmumFRax626bh/y0zZvXyhzNK8yds0"),
];

#[test]
fn keys_of_every_accepted_kind() {
    for (line, fingerprint) in GOOD {
        let key = PublicKey::parse(line).unwrap();
        assert_eq!((key.line(), key.fingerprint()), (line.trim_end(), fingerprint));
        assert_eq!(format!("{} ann@laptop", key.without_comment()), key.line());
        assert_eq!(PublicKey::parse(key.line()), Ok(key));
    }
}

#[test]
fn the_comment_does_not_make_another_key() {
    let bare = PublicKey::parse(ED25519.trim().strip_suffix(" ann@laptop").unwrap()).unwrap();
    let named = PublicKey::parse(&format!("  {} Ann's laptop ✓ \r\n", bare.line())).unwrap();
    assert_eq!(bare.fingerprint(), named.fingerprint());
    assert_eq!(named.line(), format!("{} Ann's laptop ✓", bare.line()));
    assert_eq!(named.without_comment(), bare.line());
}

#[test]
fn what_is_wrong_with_a_line_is_said() {
    let body = ED25519.split(' ').nth(1).unwrap();
    let owned = |text: String| text;
    for (text, says) in [
        (owned(String::new()), "one line of a .pub file"),
        (" \n ".into(), "one line of a .pub file"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----".into(), "private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519".into(), "private key"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----".into(), "another format"),
        (format!("{ED25519}{RSA}"), "several lines"),
        (format!("ssh-ed25519 {body} a\u{0}b"), "control characters"),
        (format!("ssh-ed25519\t{body}"), "control characters"),
        (format!("no-pty {ED25519}"), "options"),
        (format!("command=\"/bin/sh\",from=\"10.0.0.1\" {ED25519}"), "options"),
        (format!("restrict {RSA}"), "options"),
        (CERTIFICATE.into(), "certificates"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA".into(), "certificates"),
        (include_str!("keys/dsa.pub").into(), "DSA"),
        (include_str!("keys/rsa-b2048.pub").into(), "2048 bits"),
        (include_str!("keys/rsa-exponent-1.pub").into(), "none of a real key"),
        ("ssh-ed448 AAAA".into(), "key's type"),
        (body.into(), "key's type"),
        (format!("SSH-ED25519 {body}"), "key's type"),
        ("ssh-ed25519".into(), "cut or changed"),
        ("ssh-ed25519 ".into(), "cut or changed"),
        (format!("ssh-ed25519 {}", &body[..40]), "cut or changed"),
        (format!("ssh-ed25519 {body}AAAA"), "cut or changed"),
        (format!("ssh-rsa {body}"), "cut or changed"),
        (format!("ecdsa-sha2-nistp256 {body}"), "cut or changed"),
        ("x".repeat(1 << 20), "at most"),
    ] {
        let invalid = PublicKey::parse(&text).unwrap_err();
        assert_eq!(invalid.field, "public_key");
        assert!(invalid.detail.contains(says), "{:?}: {}", text.get(..60), invalid.detail);
        assert!(text.len() < 60 || !invalid.detail.contains(&text[..40]), "what was sent is not repeated");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\PC{0,300}|.{0,300}") {
        let _either = PublicKey::parse(&text).is_ok();
    }

    /// Behind a right type, any bytes: whatever is let in is one line without control characters and reads back the same.
    #[test]
    fn what_is_let_in_reads_back(kind in 0_usize..7, cut in 0_usize..600, flip in any::<u8>(), comment in "\\PC{0,40}") {
        let (line, _) = GOOD[kind];
        let mut bytes = line.trim_end().as_bytes().to_vec();
        let at = cut % bytes.len();
        bytes[at] = flip;
        let text = format!("{} {comment}", String::from_utf8_lossy(&bytes));
        if let Ok(key) = PublicKey::parse(&text) {
            prop_assert!(!key.line().chars().any(char::is_control));
            prop_assert_eq!(PublicKey::parse(key.line()), Ok(key));
        }
    }
}
