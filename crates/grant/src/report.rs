//! The signature under what a gateway reports to the API, by the key that signs grants. Who holds that key can open every
//! container anyway; a second credential would add nothing but a second thing to lose.

use ed25519_dalek::{Signature, Signer, SigningKey};

use crate::GatewayKeys;

/// The header that carries it: 128 hex digits.
pub const HEADER: &str = "berth-signature";
/// A signature over a grant can never be taken for one over a report, nor the other way round.
const DOMAIN: &[u8] = b"berth.dev report v1\0";

/// The header's value for a body. A report is safe to repeat, so nothing in it has to expire.
pub fn sign(body: &[u8], key: &SigningKey) -> String {
    let signature = key.sign(&[DOMAIN, body].concat());
    signature.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a gateway of this installation signed the body.
pub fn is_signed(body: &[u8], header: &str, keys: &GatewayKeys) -> bool {
    parse(header).is_some_and(|signature| keys.signed(&[DOMAIN, body].concat(), &signature))
}

fn parse(header: &str) -> Option<Signature> {
    let digits = header.as_bytes();
    let mut bytes = [0; 64];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Signature::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gateways_own_words_are_believed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let keys = GatewayKeys::from(vec![key.verifying_key()]);
        let header = sign(b"words", &key);
        assert!(is_signed(b"words", &header, &keys));
        assert!(!is_signed(b"other", &header, &keys));
        assert!(!is_signed(b"words", &sign(b"words", &SigningKey::from_bytes(&[8; 32])), &keys));
        assert!(!is_signed(b"words", "", &keys));
        assert!(!is_signed(b"words", &"ä".repeat(64), &keys));
        assert!(!is_signed(b"words", &header, &GatewayKeys::from(Vec::new())));
    }
}
