//! Follows one connection's bytes from head to body to head. Pure.

use bytes::{Buf, BytesMut};

use super::super::answer::Refusal;
use super::MAX_HEAD;
use super::chunks::Chunks;
use super::head::{self, Length, malformed};

#[derive(Debug)]
pub(super) struct Scanner {
    at: At,
    /// After the body of the request at hand, another protocol may begin.
    upgrade: bool,
    /// Bytes of the head at hand that were looked at already.
    seen: usize,
}

#[derive(Debug)]
enum At {
    Head,
    Bytes(u64),
    Chunks(Chunks),
    /// Nobody knows yet what the bytes mean.
    Asked,
    /// Another protocol's.
    Raw,
    Refused,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self { at: At::Head, upgrade: false, seen: 0 }
    }

    /// Whether the answer to the request at hand decides what follows.
    pub(super) fn waits(&self) -> bool {
        matches!(self.at, At::Asked)
    }

    pub(super) fn answered(&mut self, upgraded: bool) {
        self.at = if upgraded { At::Raw } else { At::Head };
    }

    pub(super) fn refused(&self) -> bool {
        matches!(self.at, At::Refused)
    }

    /// How many of these bytes are no head's: they may be passed on as they are.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        let passed = match &mut self.at {
            At::Bytes(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                here
            }
            At::Chunks(chunks) => match chunks.pass(bytes) {
                Ok(passed) => passed,
                Err(refusal) => {
                    self.at = At::Refused;
                    return Err(refusal);
                }
            },
            At::Raw => return Ok(bytes.len()),
            At::Head | At::Asked | At::Refused => return Ok(0),
        };
        let ended = match &self.at {
            At::Bytes(left) => *left == 0,
            At::Chunks(chunks) => chunks.ended(),
            At::Head | At::Asked | At::Raw | At::Refused => false,
        };
        if ended {
            self.at = if std::mem::take(&mut self.upgrade) { At::Asked } else { At::Head };
        }
        Ok(passed)
    }

    /// Moves from `held` to `out` what is beyond doubt. An error refuses all that is still held.
    pub(super) fn feed(&mut self, held: &mut BytesMut, out: &mut BytesMut) -> Result<(), Refusal> {
        loop {
            let known = out.len();
            if let At::Head = self.at {
                let Some(length) = self.end_of_head(held).inspect_err(|_| self.at = At::Refused)? else {
                    return Ok(());
                };
                let framing = head::read(&held[..length]).inspect_err(|_| self.at = At::Refused)?;
                out.extend_from_slice(&held[..length]);
                held.advance(length);
                self.upgrade = framing.upgrade;
                self.at = match framing.body {
                    Length::Bytes(length) => At::Bytes(length),
                    Length::Chunked => At::Chunks(Chunks::new()),
                };
            }
            // A body that begins wrongly refuses its head, too.
            let passed = self.pass(held).inspect_err(|_| out.truncate(known))?;
            out.extend_from_slice(&held[..passed]);
            held.advance(passed);
            if !matches!(self.at, At::Head) || held.is_empty() {
                return Ok(());
            }
        }
    }

    /// Of a head that is whole: its length.
    fn end_of_head(&mut self, held: &mut BytesMut) -> Result<Option<usize>, Refusal> {
        // One empty line before a request is what old clients send after a body.
        if self.seen == 0 && held.starts_with(b"\r\n") {
            held.advance(2);
        }
        while let Some(byte) = held.get(self.seen).copied() {
            if self.seen >= MAX_HEAD {
                return Err(Refusal::HeadTooLarge);
            }
            let before = self.seen.checked_sub(1).map(|index| held[index]);
            match (before, byte) {
                (Some(b'\r'), b'\n') => {
                    if held[..=self.seen].ends_with(b"\r\n\r\n") {
                        return Ok(Some(std::mem::take(&mut self.seen) + 1));
                    }
                }
                (Some(b'\r'), _) | (_, b'\n') => return Err(malformed("a line does not end with CR LF")),
                (_, 0) => return Err(malformed("its head holds a NUL")),
                (_, _) => {}
            }
            self.seen += 1;
        }
        Ok(None)
    }
}
