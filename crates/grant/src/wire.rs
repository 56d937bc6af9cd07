//! A grant as bytes. There is one encoding of each: numbers are big-endian, keys are SSH's own blobs after their length, and
//! what does not encode back to the same bytes is refused.

use std::net::{IpAddr, SocketAddr};

use berth_core::id::{ContainerId, Generation};
use chrono::DateTime;
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use crate::{Grant, MAX_KEYS, Unencodable};

/// A signature of this key over anything else can never be taken for one over a grant.
const DOMAIN: &[u8] = b"berth.dev grant v1\0";

pub(crate) fn signed(body: &[u8]) -> Vec<u8> {
    [DOMAIN, body].concat()
}

pub(crate) fn encode(grant: &Grant) -> Result<Vec<u8>, Unencodable> {
    let Grant { container, generation, keys, address, expires, nonce } = grant;
    let mut out = Vec::new();
    out.extend_from_slice(container.as_str().as_bytes());
    out.extend_from_slice(&generation.0.to_be_bytes());
    out.extend_from_slice(&expires.timestamp().to_be_bytes());
    out.extend_from_slice(nonce);
    match address.ip() {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&address.port().to_be_bytes());
    let count = u16::try_from(keys.len()).ok().filter(|_| keys.len() <= MAX_KEYS).ok_or(Unencodable)?;
    out.extend_from_slice(&count.to_be_bytes());
    for key in keys {
        let blob = PublicKey::from(key.clone()).to_bytes().map_err(|_| Unencodable)?;
        out.extend_from_slice(&u16::try_from(blob.len()).map_err(|_| Unencodable)?.to_be_bytes());
        out.extend_from_slice(&blob);
    }
    Ok(out)
}

/// `None` for everything that [`encode`] never writes.
pub(crate) fn decode(bytes: &[u8]) -> Option<Grant> {
    let mut rest = bytes;
    let id: [u8; ContainerId::LEN] = take(&mut rest)?;
    let container = std::str::from_utf8(&id).ok()?.parse().ok()?;
    let generation = Generation(i64::from_be_bytes(take(&mut rest)?));
    let expires = DateTime::from_timestamp(i64::from_be_bytes(take(&mut rest)?), 0)?;
    let nonce = take(&mut rest)?;
    let ip: IpAddr = match take(&mut rest)? {
        [4] => take::<4>(&mut rest)?.into(),
        [6] => take::<16>(&mut rest)?.into(),
        [_other] => return None,
    };
    let address = SocketAddr::new(ip, u16::from_be_bytes(take(&mut rest)?));
    let count = u16::from_be_bytes(take(&mut rest)?);
    if usize::from(count) > MAX_KEYS {
        return None;
    }
    let keys: Vec<KeyData> = (0..count).map(|_| key(&mut rest)).collect::<Option<_>>()?;
    let grant = Grant { container, generation, keys, address, expires, nonce };
    (rest.is_empty() && encode(&grant).is_ok_and(|again| again == bytes)).then_some(grant)
}

fn key(rest: &mut &[u8]) -> Option<KeyData> {
    let len = usize::from(u16::from_be_bytes(take(rest)?));
    let (blob, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(PublicKey::from_bytes(blob).ok()?.key_data().clone())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}
