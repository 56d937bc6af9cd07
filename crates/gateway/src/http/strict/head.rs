//! One head, whole: what it says of the bytes that follow it. Pure.

use super::super::answer::Refusal;
use super::{MAX_HEADERS, REFUSED};

/// How the bytes after a head are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) body: Length,
    /// What follows the body may be another protocol.
    pub(super) upgrade: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Bytes(u64),
    Chunked,
}

/// `head` ends with the empty line, and every line in it with CR LF.
pub(super) fn read(head: &[u8]) -> Result<Framing, Refusal> {
    let text = head.strip_suffix(b"\r\n\r\n").ok_or(malformed("its head has no end"))?;
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = RequestLine::read(lines.next().unwrap_or_default())?;
    let (mut host, mut length, mut chunked, mut upgrade) = (None, None, false, false);
    for (number, field) in lines.enumerate() {
        if number >= MAX_HEADERS {
            return Err(Refusal::HeadTooLarge);
        }
        let (name, value) = self::field(field)?;
        if name.eq_ignore_ascii_case(b"host") {
            if host.replace(value).is_some() {
                return Err(malformed("it has two Host fields"));
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(decimal(value)?).is_some() {
                return Err(malformed("it has two Content-Length fields"));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(malformed("its Transfer-Encoding is not exactly chunked"));
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            upgrade = true;
        }
    }
    let host = host.filter(|host| !host.is_empty()).ok_or(malformed("it has no Host"))?;
    if line.authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(host)) {
        return Err(malformed("its target and its Host name different hosts"));
    }
    if chunked && length.is_some() {
        return Err(malformed("it has both Content-Length and Transfer-Encoding"));
    }
    if chunked && line.minor == 0 {
        return Err(malformed("HTTP/1.0 has no Transfer-Encoding"));
    }
    let body = if chunked { Length::Chunked } else { Length::Bytes(length.unwrap_or(0)) };
    Ok(Framing { body, upgrade: upgrade && line.minor == 1 })
}

struct RequestLine<'a> {
    minor: u8,
    /// Of a target in absolute form.
    authority: Option<&'a [u8]>,
}

impl<'a> RequestLine<'a> {
    fn read(line: &'a [u8]) -> Result<Self, Refusal> {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed("its first line is not a method, a target and a version with one space between"));
        };
        if method.is_empty() || !method.iter().all(|byte| token(*byte)) || method == REFUSED.as_bytes() {
            return Err(malformed("its method is none"));
        }
        if method == b"CONNECT" {
            return Err(malformed("CONNECT is for proxies of another kind"));
        }
        let minor = match version {
            b"HTTP/1.1" => 1,
            b"HTTP/1.0" => 0,
            _ => return Err(malformed("its version is neither HTTP/1.1 nor HTTP/1.0")),
        };
        if target.is_empty() || target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f || *byte == b'#') {
            return Err(malformed("its target holds what a target cannot"));
        }
        let authority = match target {
            [b'/', ..] => None,
            b"*" if method == b"OPTIONS" => None,
            _ => Some(authority(target).ok_or(malformed("its target is neither a path nor a URL"))?),
        };
        Ok(Self { minor, authority })
    }
}

/// Of `http://authority/path`.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?;
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    (end > 0).then_some(&rest[..end])
}

/// Name and value, without the spaces around the value. Trailers are such lines, too.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(malformed("a header is folded over two lines"));
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or(malformed("a header has no colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| token(*byte)) {
        return Err(malformed("a header's name holds what a name cannot"));
    }
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err(malformed("a header's value holds a control character"));
    }
    Ok((name, trim(value)))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits alone: no sign, no list, nothing that overflows.
fn decimal(value: &[u8]) -> Result<u64, Refusal> {
    let bad = malformed("its Content-Length is not a number");
    let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits).ok_or(bad.clone())?;
    text.parse().map_err(|_| bad)
}

/// RFC 9110, section 5.6.2.
fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

pub(super) fn malformed(why: &'static str) -> Refusal {
    Refusal::Malformed(why)
}
