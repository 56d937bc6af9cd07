//! Where a chunked body ends. Pure; never more lenient than the reader above it.

use super::super::answer::Refusal;
use super::head::{self, malformed};

/// Of a size with its extensions, and of all trailers together.
const MAX_LINE: usize = 1024;
const MAX_TRAILERS: usize = 8 * 1024;
/// Hexadecimal: more bytes than anybody sends.
const MAX_DIGITS: usize = 15;
/// They would say anew what the head said already.
const NO_TRAILERS: [&[u8]; 6] =
    [b"content-length", b"transfer-encoding", b"host", b"connection", b"upgrade", b"authorization"];

#[derive(Debug)]
pub(super) struct Chunks {
    at: At,
    line: Vec<u8>,
    trailers: usize,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// In a line that gives a size.
    Size,
    Data(u64),
    /// After data: CR, then LF.
    DataCr,
    DataLf,
    Trailers,
    End,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size, line: Vec::new(), trailers: 0 }
    }

    pub(super) fn ended(&self) -> bool {
        matches!(self.at, At::End)
    }

    /// How many of these bytes belong to the body.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let mut passed = 0;
        while let Some(byte) = bytes.get(passed).copied() {
            match self.at {
                At::End => break,
                At::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - passed);
                    passed += here;
                    let left = left - here as u64;
                    self.at = if left == 0 { At::DataCr } else { At::Data(left) };
                    continue;
                }
                At::DataCr if byte == b'\r' => self.at = At::DataLf,
                At::DataLf if byte == b'\n' => self.at = At::Size,
                At::DataCr | At::DataLf => return Err(malformed("a chunk is longer than its size")),
                At::Size => {
                    if self.take(byte, MAX_LINE)? {
                        let size = size(&self.line)?;
                        self.line.clear();
                        self.at = if size == 0 { At::Trailers } else { At::Data(size) };
                    }
                }
                At::Trailers => {
                    if self.take(byte, MAX_TRAILERS - self.trailers)? {
                        self.trailers += self.line.len();
                        self.trailer()?;
                    }
                }
            }
            passed += 1;
        }
        Ok(passed)
    }

    /// Whether this byte ends the line.
    fn take(&mut self, byte: u8, most: usize) -> Result<bool, Refusal> {
        match (byte, self.line.last()) {
            (b'\n', Some(b'\r')) => {
                self.line.pop();
                return Ok(true);
            }
            (b'\n', _) | (_, Some(b'\r')) => return Err(malformed("a line of its body does not end with CR LF")),
            (_, _) if self.line.len() >= most => return Err(malformed("a line of its body is too long")),
            (_, _) => self.line.push(byte),
        }
        Ok(false)
    }

    fn trailer(&mut self) -> Result<(), Refusal> {
        if self.line.is_empty() {
            self.at = At::End;
            return Ok(());
        }
        let (name, _) = head::field(&self.line)?;
        if NO_TRAILERS.iter().any(|no| name.eq_ignore_ascii_case(no)) {
            return Err(malformed("a trailer says what belongs into the head"));
        }
        self.line.clear();
        Ok(())
    }
}

/// Of `1f;name=value`; extensions mean nothing to us, and are passed over.
fn size(line: &[u8]) -> Result<u64, Refusal> {
    let bad = malformed("a chunk's size is not a hexadecimal number");
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    let (digits, extensions) = line.split_at(end);
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(bad);
    }
    if extensions.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return Err(malformed("a chunk's extension holds a control character"));
    }
    let text = std::str::from_utf8(digits).map_err(|_| bad.clone())?;
    u64::from_str_radix(text, 16).map_err(|_| bad)
}
