//! One line of a log.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

/// A line up to this many bytes is whole.
pub const MAX_LINE: usize = 1 << 20;
/// Stands at the end of a line that was longer.
const CUT: &str = " [cut: the line is longer than 1 MiB]";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When its first byte was written.
    pub at: DateTime<Utc>,
    /// Without the newline; any bytes at all.
    pub content: Bytes,
    /// The rest of the line was dropped.
    pub cut: bool,
}

impl LogLine {
    /// `<RFC 3339 with nanoseconds> <line>`, its bytes as they were written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let at = self.at.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let marker = if self.cut { CUT } else { "" };
        [at.as_bytes(), b" ", &self.content, marker.as_bytes()].concat()
    }

    /// The same as text: what is not UTF-8 becomes U+FFFD.
    pub fn to_text(&self) -> String {
        match String::from_utf8(self.to_bytes()) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(content: &'static [u8], cut: bool) -> LogLine {
        LogLine { at: "2026-01-02T03:04:05.6Z".parse().unwrap(), content: Bytes::from_static(content), cut }
    }

    #[test]
    fn a_line_carries_its_nanoseconds() {
        assert_eq!(line(b"words", false).to_text(), "2026-01-02T03:04:05.600000000Z words");
        assert_eq!(line(b"", false).to_text(), "2026-01-02T03:04:05.600000000Z ");
        assert!(line(b"x", true).to_text().ends_with("x [cut: the line is longer than 1 MiB]"));
    }

    #[test]
    fn bytes_stay_and_text_is_made_safe() {
        assert!(line(b"\xff\x00\x1b", false).to_bytes().ends_with(b" \xff\x00\x1b"));
        assert!(line(b"\xff\x00", false).to_text().ends_with(" \u{fffd}\0"));
    }
}
