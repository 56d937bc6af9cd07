//! How a grant stands in front of a stream: a magic word, the length of what follows, the grant and its signature.

use crate::Unencodable;

/// Tells a grant from whatever else reaches the port, an SSH client above all, and one version from the next.
const MAGIC: [u8; 8] = *b"BERTH\x00\x00\x01";
/// Bytes before the body.
pub const HEAD_LEN: usize = 12;
/// Bytes of a body: a thousand keys of the usual kinds. It bounds what an agent reads before it knows from whom.
pub const MAX_LEN: usize = 128 * 1024;

/// The fixed start of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes that follow, at most [`MAX_LEN`].
    pub len: usize,
}

/// What came is no grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    #[error("the connection does not begin with a grant")]
    NoGrant,
    #[error("a grant is at most {MAX_LEN} bytes long")]
    TooLong,
}

impl Head {
    /// # Errors
    /// [`BadHead`] when this is another protocol, or longer than any grant.
    pub fn parse(head: &[u8; HEAD_LEN]) -> Result<Self, BadHead> {
        let (magic, len) = head.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(BadHead::NoGrant);
        }
        let len = len.try_into().map(u32::from_be_bytes).map_err(|_| BadHead::NoGrant)?;
        match usize::try_from(len) {
            Ok(len) if len <= MAX_LEN => Ok(Self { len }),
            Ok(_) | Err(_) => Err(BadHead::TooLong),
        }
    }
}

pub(crate) fn framed(body: &[u8]) -> Result<Vec<u8>, Unencodable> {
    let len = u32::try_from(body.len()).map_err(|_| Unencodable)?;
    if body.len() > MAX_LEN {
        return Err(Unencodable);
    }
    Ok([MAGIC.as_slice(), len.to_be_bytes().as_slice(), body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_and_giants_are_told_apart() {
        let head = |bytes: &[u8]| Head::parse(bytes.try_into().unwrap());
        assert_eq!(head(b"BERTH\x00\x00\x01\x00\x00\x00\x07"), Ok(Head { len: 7 }));
        assert_eq!(head(b"SSH-2.0-Open"), Err(BadHead::NoGrant));
        assert_eq!(head(b"BERTH\x00\x00\x02\x00\x00\x00\x07"), Err(BadHead::NoGrant));
        assert_eq!(head(b"BERTH\x00\x00\x01\xff\xff\xff\xff"), Err(BadHead::TooLong));
    }

    #[test]
    fn nothing_longer_than_what_is_read_is_written() {
        assert!(framed(&vec![0; MAX_LEN]).is_ok());
        assert_eq!(framed(&vec![0; MAX_LEN + 1]), Err(Unencodable));
    }
}
