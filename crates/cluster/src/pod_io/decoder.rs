//! Cuts the node's log stream (`<RFC 3339> <line>\n`) into lines, with a bound on what one line may hold.

use berth_core::logs::{LogLine, MAX_LINE};
use bytes::{Buf, Bytes, BytesMut};
use chrono::DateTime;
use tokio_util::codec::Decoder;

/// One line as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawLine {
    pub(super) line: LogLine,
    /// It had its newline; without, more of it may come in another stream.
    pub(super) complete: bool,
}

#[derive(Debug, Default)]
pub(super) struct LineDecoder {
    /// Bytes of the buffer that hold no newline.
    scanned: usize,
    /// The rest of a line that was cut.
    dropping: bool,
}

/// The longest time of a line and its space, with room to spare.
const PREFIX: usize = 64;

impl Decoder for LineDecoder {
    type Item = RawLine;
    type Error = std::io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<RawLine>, std::io::Error> {
        loop {
            match buffer[self.scanned..].iter().position(|byte| *byte == b'\n') {
                Some(offset) => {
                    let bytes = buffer.split_to(self.scanned + offset).freeze();
                    buffer.advance(1);
                    self.scanned = 0;
                    if std::mem::take(&mut self.dropping) {
                        continue;
                    }
                    if let Some(line) = parse(&bytes) {
                        return Ok(Some(RawLine { line, complete: true }));
                    }
                }
                None if self.dropping => {
                    buffer.clear();
                    return Ok(None);
                }
                None if buffer.len() > PREFIX + MAX_LINE => {
                    let bytes = buffer.split().freeze();
                    self.scanned = 0;
                    self.dropping = true;
                    if let Some(line) = parse(&bytes) {
                        return Ok(Some(RawLine { line, complete: true }));
                    }
                }
                None => {
                    self.scanned = buffer.len();
                    return Ok(None);
                }
            }
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<RawLine>, std::io::Error> {
        if let Some(line) = self.decode(buffer)? {
            return Ok(Some(line));
        }
        self.scanned = 0;
        let rest = buffer.split().freeze();
        Ok(parse(&rest).map(|line| RawLine { line, complete: false }))
    }
}

/// `None` for what has no time: a failure's words, which the node writes into the stream itself.
fn parse(bytes: &Bytes) -> Option<LogLine> {
    let prefix = &bytes[..bytes.len().min(PREFIX)];
    let space = prefix.iter().position(|byte| *byte == b' ');
    let at = space.and_then(|space| DateTime::parse_from_rfc3339(std::str::from_utf8(&prefix[..space]).ok()?).ok());
    let (Some(space), Some(at)) = (space, at) else {
        if !bytes.is_empty() {
            tracing::debug!(words = %String::from_utf8_lossy(prefix), "the node ends a log with words of its own");
        }
        return None;
    };
    let content = bytes.slice(space + 1..);
    let cut = content.len() > MAX_LINE;
    let kept = if cut { whole_characters(&content[..MAX_LINE]) } else { content.len() };
    Some(LogLine { at: at.to_utc(), content: content.slice(..kept), cut })
}

/// The length without a character that the cut went through; bytes that are no text stay as they are.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Ok(_) | Err(_) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-01-02T03:04:05.000000006Z";

    /// Decodes bytes that come in pieces of this size.
    fn decode(bytes: &[u8], piece: usize) -> Vec<(usize, bool, bool)> {
        let (mut decoder, mut buffer, mut lines) = (LineDecoder::default(), BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(line) = decoder.decode(&mut buffer).unwrap() {
                lines.push(line);
            }
            assert!(buffer.len() <= PREFIX + MAX_LINE, "the buffer is bounded");
        }
        while let Some(line) = decoder.decode_eof(&mut buffer).unwrap() {
            lines.push(line);
        }
        lines.iter().map(|raw| (raw.line.content.len(), raw.line.cut, raw.complete)).collect()
    }

    #[test]
    fn lines_whole_cut_and_unfinished() {
        let line = |length: usize| format!("{AT} {}\n", "x".repeat(length));
        let log =
            [line(0), line(3), line(MAX_LINE), line(MAX_LINE + 1), line(3 * MAX_LINE), line(5), format!("{AT} y")];
        let seen = [
            (0, false, true),
            (3, false, true),
            (MAX_LINE, false, true),
            (MAX_LINE, true, true),
            (MAX_LINE, true, true),
            (5, false, true),
            (1, false, false),
        ];
        for piece in [1 << 10, 1 << 16, 1 << 23] {
            let found = decode(log.concat().as_bytes(), piece);
            if piece <= 1 << 16 {
                assert_eq!(found, seen);
            } else {
                assert_eq!(found.len(), seen.len());
            }
        }
    }

    #[test]
    fn words_without_a_time_are_no_line() {
        let log = format!("{AT} a\nrpc error: code = NotFound\n\n{AT} b\nfailed to watch");
        assert_eq!(decode(log.as_bytes(), 7), [(1, false, true), (1, false, true)]);
    }

    #[test]
    fn a_cut_leaves_characters_whole() {
        let log = format!("{AT} {}\n", "€".repeat(MAX_LINE));
        let (kept, cut, _) = decode(log.as_bytes(), 1 << 12)[0];
        assert_eq!((kept, cut), (MAX_LINE - MAX_LINE % 3, true));
        let binary = [format!("{AT} ").into_bytes(), vec![0xff; MAX_LINE + 9], vec![b'\n']].concat();
        assert_eq!(decode(&binary, 1 << 12), [(MAX_LINE, true, true)]);
    }
}
