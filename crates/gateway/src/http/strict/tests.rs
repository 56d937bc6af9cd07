#![allow(clippy::unwrap_used, reason = "test code")]

use bytes::BytesMut;
use proptest::prelude::*;

use super::scanner::Scanner;
use super::*;

/// What a reader above gets of these bytes, however they come in pieces.
fn scanned<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Option<Refusal>) {
    let (mut scanner, mut held, mut out) = (Scanner::new(), BytesMut::new(), BytesMut::new());
    for piece in pieces {
        let passed = match scanner.pass(piece) {
            Ok(passed) => passed,
            Err(refusal) => return (out.to_vec(), Some(refusal)),
        };
        out.extend_from_slice(&piece[..passed]);
        held.extend_from_slice(&piece[passed..]);
        if let Err(refusal) = scanner.feed(&mut held, &mut out) {
            return (out.to_vec(), Some(refusal));
        }
    }
    (out.to_vec(), None)
}

fn whole(text: &str) -> (Vec<u8>, Option<Refusal>) {
    scanned([text.as_bytes()])
}

const GOOD: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a?b=c%20d HTTP/1.0\r\nhost:a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://a.example/x HTTP/1.1\r\nHost: A.example\r\n\r\n",
    "GET HTTPS://a.example:8443?x HTTP/1.1\r\nHost: a.example:8443\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t005 \r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA;x=\"y\"\r\n\r\n\r\n\n\n\n\n\n\n\r\n000\r\nX-Sum: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Odd: \u{fc}~\t x\r\n\r\n",
    // What looks like a head inside a body is a body.
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nGET /\n\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// Refused, whatever comes after; the number of bytes that come before, which are good.
const BAD: &[(usize, &str)] = &[
    // Two lengths, and other ways to disagree about where a body ends.
    (0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nhello"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nhello"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    // Lines.
    (0, "GET / HTTP/1.1\nHost: a\n\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tTransfer-Encoding: chunked\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\nhello"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\u{a0}: 5\r\n\r\nhello"),
    // The first line.
    (0, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    (0, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "GET /\r\n\r\n"),
    (0, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    (0, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    (0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (0, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "BERTH-REFUSED / HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Hosts.
    (0, "GET / HTTP/1.1\r\nX: a\r\n\r\n"),
    (0, "GET / HTTP/1.0\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    (0, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (0, "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (0, "GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Chunks.
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n b\r\n\r\n"),
    (0, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\r\n"),
    // After a good one.
    (27, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\n\r\n"),
    (52, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloHost: a\r\n\r\n"),
];

#[test]
fn what_has_one_meaning_passes_unchanged() {
    for text in GOOD {
        assert_eq!(whole(text), (text.as_bytes().to_vec(), None), "{text:?}");
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(scanned(bytes), (text.as_bytes().to_vec(), None), "{text:?} byte by byte");
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for (good, text) in BAD {
        let (out, refusal) = whole(text);
        assert!(matches!(refusal, Some(Refusal::Malformed(_))), "{text:?}: {refusal:?}");
        assert_eq!(out, &text.as_bytes()[..*good], "{text:?}");
        let (_, refusal) = scanned(text.as_bytes().chunks(1));
        assert!(matches!(refusal, Some(Refusal::Malformed(_))), "{text:?} byte by byte: {refusal:?}");
    }
}

#[test]
fn heads_have_a_size() {
    let head = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(whole(&head(&format!("X: {}\r\n", "y".repeat(MAX_HEAD - 40)))).1, None);
    assert_eq!(whole(&head(&format!("X: {}\r\n", "y".repeat(MAX_HEAD)))).1, Some(Refusal::HeadTooLarge));
    assert_eq!(whole(&head(&"X: y\r\n".repeat(MAX_HEADERS - 1))).1, None);
    assert_eq!(whole(&head(&"X: y\r\n".repeat(MAX_HEADERS))).1, Some(Refusal::HeadTooLarge));
    let endless = [b'x'; MAX_HEAD + 1];
    assert_eq!(scanned([&endless[..]]).1, Some(Refusal::HeadTooLarge));
}

#[test]
fn after_an_upgrade_nothing_is_read_before_it_is_answered() {
    let (asks, rest) = ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n", "\0\n raw");
    for upgraded in [true, false] {
        let (mut scanner, mut held, mut out) = (Scanner::new(), BytesMut::from(asks), BytesMut::new());
        held.extend_from_slice(rest.as_bytes());
        scanner.feed(&mut held, &mut out).unwrap();
        assert!(scanner.waits());
        assert_eq!((&out[..], &held[..]), (asks.as_bytes(), rest.as_bytes()));
        scanner.answered(upgraded);
        let fed = scanner.feed(&mut held, &mut out);
        assert_eq!(fed.is_ok(), upgraded);
        assert_eq!(out.ends_with(rest.as_bytes()), upgraded);
    }
}

proptest! {
    #[test]
    fn pieces_change_nothing(first in 0..GOOD.len(), second in 0..GOOD.len(), sizes in prop::collection::vec(1usize..40, 1..60)) {
        let text = format!("{}{}", GOOD[first], GOOD[second]);
        let (mut rest, mut pieces) = (text.as_bytes(), Vec::new());
        for size in sizes.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(scanned(pieces), (text.as_bytes().to_vec(), None));
    }

    /// Whatever comes: no head reaches the reader above that it does not understand as we do.
    #[test]
    fn noise_is_never_more_than_its_prefix(noise in "(GET|POST) /[ a\r\n\t:]{0,4}(HTTP/1.1)?(\r\n|\n)(Host: a\r\n|Content-Length: ?[0-9 ]{0,3}\r?\n|Transfer-Encoding: ?(chunked|x)\r\n){0,4}\r?\n[0-9a-f\r\n]{0,12}") {
        let (out, _) = scanned([noise.as_bytes()]);
        prop_assert!(noise.as_bytes().starts_with(&out));
        if let Some(end) = out.windows(4).position(|window| window == b"\r\n\r\n") {
            let mut headers = [httparse::EMPTY_HEADER; 8];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(&out);
            prop_assert_eq!(parsed, Ok(httparse::Status::Complete(end + 4)));
        }
    }
}
