//! Logs: which part is asked for, what a line is, and how far a reader has come.

mod line;
mod progress;
mod query;

pub use line::{LogLine, MAX_LINE};
pub use progress::{Position, Progress, Tail};
pub use query::{LogQuery, MAX_TAIL};
