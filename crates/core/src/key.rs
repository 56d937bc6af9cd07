//! SSH public keys, parsed by the library that will verify logins with them.

use std::fmt;

use chrono::{DateTime, Utc};
use ssh_key::public::{KeyData, RsaPublicKey};
use ssh_key::{Algorithm, HashAlg};

use crate::Invalid;
use crate::id::KeyId;

const FIELD: &str = "public_key";
/// An RSA key of 16,384 bits and a long comment fit; it bounds the parser's work.
const MAX_LEN: usize = 8192;
const MIN_RSA_BITS: usize = 3072;
const MAX_RSA_BITS: usize = 16_384;
const ACCEPTED: &str = "ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ecdsa-sha2-nistp521, ssh-rsa, \
                        sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com";

/// One public key: the line of a `.pub` file, read and written anew, so that nothing but a type, base64 and a comment can
/// be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    line: String,
    fingerprint: String,
}

impl PublicKey {
    /// # Errors
    /// [`Invalid`] with field `public_key`, saying what is wrong with the line.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let line = one_line(text)?;
        kind(line)?;
        let read = ssh_key::PublicKey::from_openssh(line).map_err(|_| {
            wrong("the base64 part of this line is cut or changed, or of another key type than its first word says; copy the whole .pub file")
        })?;
        admit(read.key_data())?;
        let comment = read.comment().as_str_lossy().trim().to_owned();
        let line = ssh_key::PublicKey::new(read.key_data().clone(), comment).to_openssh();
        let line = line.map_err(|_| wrong("this key cannot be written as one line again"))?;
        Ok(Self { line, fingerprint: read.fingerprint(HashAlg::Sha256).to_string() })
    }

    /// For rows that were parsed when they were written.
    pub fn from_stored(line: String, fingerprint: String) -> Self {
        Self { line, fingerprint }
    }

    /// Type, base64 and comment, if it has one.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Type and base64: what a login is compared with.
    pub fn without_comment(&self) -> String {
        self.line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// `SHA256:…`, as ssh-keygen prints it. It depends on the key alone, not on the comment.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// One row of `ssh_keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    pub id: KeyId,
    pub name: String,
    pub key: PublicKey,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
}

fn wrong(detail: impl Into<String>) -> Invalid {
    Invalid::new(FIELD, detail)
}

/// What a person pastes by mistake is told by name.
fn one_line(text: &str) -> Result<&str, Invalid> {
    if text.len() > MAX_LEN {
        return Err(wrong(format!("a public key is one line of at most {MAX_LEN} bytes")));
    }
    let line = text.trim();
    if line.is_empty() {
        return Err(wrong("public_key is the one line of a .pub file, such as ~/.ssh/id_ed25519.pub"));
    }
    if line.contains("PRIVATE KEY") || line.starts_with("PuTTY-User-Key-File") {
        return Err(wrong(
            "this is a private key: keep it to yourself, make a new pair if others saw it, and send the line of the .pub file",
        ));
    }
    if line.starts_with("---") {
        return Err(wrong("this is another format; ssh-keygen -i -f FILE turns it into the one line that is needed"));
    }
    if line.contains(['\n', '\r']) {
        return Err(wrong("these are several lines; add each key on its own"));
    }
    if line.chars().any(char::is_control) {
        return Err(wrong("the line holds control characters; copy it again from the .pub file"));
    }
    Ok(line)
}

/// Looks at the first word, which names the type.
fn kind(line: &str) -> Result<(), Invalid> {
    let mut words = line.split(' ');
    let first = words.next().unwrap_or_default();
    if first.contains("-cert-v0") {
        return Err(wrong("certificates are not accepted; send the plain public key that it certifies"));
    }
    if is_accepted(first) {
        return Ok(());
    }
    if first == "ssh-dss" {
        return Err(wrong("DSA keys are not accepted any more; ssh-keygen -t ed25519 makes a good one"));
    }
    if words.any(is_accepted) {
        return Err(wrong("options before the key are not accepted; begin the line with the key's type"));
    }
    Err(wrong(format!("the line begins with the key's type: {ACCEPTED}")))
}

fn is_accepted(word: &str) -> bool {
    match Algorithm::new(word) {
        Ok(
            Algorithm::Ecdsa { .. }
            | Algorithm::Ed25519
            | Algorithm::Rsa { hash: None }
            | Algorithm::SkEcdsaSha2NistP256
            | Algorithm::SkEd25519,
        ) => true,
        Ok(_) | Err(_) => false,
    }
}

fn admit(data: &KeyData) -> Result<(), Invalid> {
    match data {
        KeyData::Ecdsa(_) | KeyData::Ed25519(_) | KeyData::SkEcdsaSha2NistP256(_) | KeyData::SkEd25519(_) => Ok(()),
        KeyData::Rsa(key) => admit_rsa(key),
        // The library's list is open; what is not named above is not accepted.
        _ => Err(wrong(format!("the key's type is one of {ACCEPTED}"))),
    }
}

fn admit_rsa(key: &RsaPublicKey) -> Result<(), Invalid> {
    let modulus = key.n().as_positive_bytes().unwrap_or_default();
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
        return Err(wrong(format!(
            "this RSA key has {bits} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted, and ssh-keygen -t ed25519 makes a good key"
        )));
    }
    let exponent = key.e().as_positive_bytes().unwrap_or_default();
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
    // With an exponent of 1 anybody could sign.
    if !odd(modulus) || !odd(exponent) || exponent == [1] {
        return Err(wrong("this RSA key's numbers are none of a real key; make a new pair"));
    }
    Ok(())
}
