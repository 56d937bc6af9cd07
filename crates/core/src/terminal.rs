//! Words of a terminal.

use bytes::Bytes;

use crate::Invalid;

/// Columns and rows of a terminal, each from 1 to [`TerminalSize::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    cols: u16,
    rows: u16,
}

impl TerminalSize {
    pub const MAX: i64 = 1000;
    /// Before a client has said its own.
    pub const FIRST: Self = Self { cols: 80, rows: 24 };

    /// # Errors
    /// [`Invalid`] with the name of the side that is out of bounds.
    pub fn new(cols: i64, rows: i64) -> Result<Self, Invalid> {
        let side = |field, value: i64| match u16::try_from(value) {
            Ok(side) if (1..=Self::MAX).contains(&value) => Ok(side),
            Ok(_) | Err(_) => Err(Invalid::new(field, format!("{field} is a number from 1 to {}", Self::MAX))),
        };
        Ok(Self { cols: side("cols", cols)?, rows: side("rows", rows)? })
    }

    pub fn cols(self) -> u16 {
        self.cols
    }

    pub fn rows(self) -> u16 {
        self.rows
    }
}

/// What to start instead of the login shell: a line for `sh -c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalCommand(String);

impl TerminalCommand {
    pub const MAX: usize = 4096;

    /// # Errors
    /// [`Invalid`] with field `command`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() || text.len() > Self::MAX || text.contains('\0') {
            let detail = format!("command is a line for sh -c of 1 to {} bytes, without NUL", Self::MAX);
            return Err(Invalid::new("command", detail));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// From the person to the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalInput {
    Bytes(Bytes),
    Resize(TerminalSize),
}

/// From the terminal to the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalOutput {
    Bytes(Bytes),
    /// Nothing follows.
    End(TerminalEnd),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalEnd {
    /// The process ended; 128 and more: by a signal.
    Exited(i32),
    /// The way to the container broke, or the cluster ended it: its own words.
    Lost(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(TerminalSize::new(80, 24), Ok(TerminalSize::FIRST));
        assert!(TerminalSize::new(1000, 1).is_ok());
        for (cols, rows, field) in [
            (0, 1, "cols"),
            (-1, 1, "cols"),
            (1001, 1, "cols"),
            (65_617, 1, "cols"),
            (1, i64::MAX, "rows"),
            (1, 0, "rows"),
        ] {
            assert_eq!(TerminalSize::new(cols, rows).unwrap_err().field, field, "{cols}x{rows}");
        }
    }

    #[test]
    fn commands_are_bounded() {
        assert_eq!(TerminalCommand::parse("top -d 1").unwrap().as_str(), "top -d 1");
        let long = "x".repeat(4097);
        for text in ["", "  ", "a\0b", &long] {
            assert_eq!(TerminalCommand::parse(text).unwrap_err().field, "command");
        }
    }
}
