//! What the API asks of running containers, in plain streams: it does not know what carries them.

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use berth_core::container::Container;
use berth_core::logs::{LogLine, LogQuery};
use berth_core::pod_io::Unreachable;
use berth_core::terminal::{TerminalCommand, TerminalInput, TerminalOutput};
use futures::Sink;
use futures::stream::BoxStream;

/// Lines of a log as they come; taken only when asked for.
pub type Lines = BoxStream<'static, Result<LogLine, Unreachable>>;
/// A sink that is full makes its writer wait.
pub type Input = Pin<Box<dyn Sink<TerminalInput, Error = Unreachable> + Send>>;
pub type Output = BoxStream<'static, TerminalOutput>;

/// Both directions of a terminal, each for itself. Dropping them hangs it up.
#[expect(missing_debug_implementations, reason = "its halves have none")]
pub struct Terminal {
    pub input: Input,
    pub output: Output,
}

#[async_trait]
pub trait PodIo: Send + Sync + fmt::Debug + 'static {
    /// Opens the log. With `follow` the stream ends when the container stops, and is silent while it does not run.
    ///
    /// # Errors
    /// [`Unreachable::NotRunning`] where there is no log and, without `follow`, will be none.
    async fn logs(&self, container: &Container, query: LogQuery) -> Result<Lines, Unreachable>;

    /// Starts the user's shell, or the command, on a TTY.
    ///
    /// # Errors
    /// [`Unreachable`]; then nothing runs.
    async fn terminal(&self, container: &Container, command: Option<TerminalCommand>) -> Result<Terminal, Unreachable>;
}
