//! What is offered and accepted, each with its reason.

use std::borrow::Cow;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use russh::server::Config;
use russh::{Limits, MethodKind, MethodSet, Preferred, SshId, cipher, compression};

use crate::{KEYS_AFTER, WINDOW};

/// The two that the processor has instructions for come first: less than two thirds of the work. A client's own order counts
/// before ours, and OpenSSH's begins with ChaCha20; not to offer that would shut out clients that know no GCM.
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];

/// Kinds of keys that may log in. No SHA-1, whatever russh's own list says.
const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::SkEd25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::SkEcdsaSha2NistP256,
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// Whether a key may log in with a signature of this kind: SHA-1 is not accepted.
pub fn sound(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa)
}

pub fn preferred() -> Preferred {
    Preferred {
        key: Cow::Borrowed(KEYS),
        cipher: Cow::Borrowed(CIPHERS),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::DEFAULT
    }
}

/// When the server asks for new keys. Clients that ask as late as RFC 4253 (9) lets them, a GiB or an hour, are asked before.
fn limits() -> Limits {
    Limits {
        rekey_read_limit: usize::try_from(KEYS_AFTER).unwrap_or(usize::MAX),
        // What the ciphers bear is 64 GiB (RFC 4344, 3.2), and of ChaCha20 2^32 packets, none of which is shorter than ten
        // bytes. A client that fetches a file answers each piece with a request, and cannot be kept from it while keys change.
        rekey_write_limit: 16 << 30,
        rekey_time_limit: Duration::from_secs(50 * 60),
    }
}

/// Of a server with this host key, which is to be of ed25519: with one of RSA, an open weakness of the library would be ours.
pub fn server_config(host_key: PrivateKey) -> Config {
    Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Berth")),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // There is no secret that a delay could protect: a public key is listed or it is not.
        auth_rejection_time: Duration::ZERO,
        keys: vec![host_key],
        window_size: WINDOW,
        maximum_packet_size: 32 * 1024,
        event_buffer_size: 64,
        preferred: preferred(),
        limits: limits(),
        // An open shell may be left alone for days; whether somebody is still there is what keepalives find out.
        inactivity_timeout: None,
        keepalive_interval: Some(Duration::from_secs(15)),
        keepalive_max: 8,
        ..Config::default()
    }
}
