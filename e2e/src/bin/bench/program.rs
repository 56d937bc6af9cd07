//! A program behind a terminal in raw mode that gives back what it reads, wherever it runs.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// For a shell there.
pub(crate) const ECHO: &str = "stty raw -echo; echo are-you-there; cat";
/// What the program says before it listens.
pub(crate) const THERE: &str = "are-you-there";
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Program {
    process: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Program {
    /// Returns once it has said that it is there.
    pub(crate) async fn open(mut command: Command) -> anyhow::Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut process = spawned.with_context(|| format!("starting {command:?}"))?;
        let (input, output) = (process.stdin.take().context("a pipe")?, process.stdout.take().context("a pipe")?);
        let mut opened = Self { process, input, output };
        opened.shows(&format!("{THERE}\n")).await?;
        Ok(opened)
    }

    pub(crate) async fn key(&mut self, key: &str) -> anyhow::Result<()> {
        self.input.write_all(key.as_bytes()).await?;
        self.input.flush().await?;
        self.shows(key).await
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        Ok(self.process.kill().await?)
    }

    async fn shows(&mut self, text: &str) -> anyhow::Result<()> {
        let reads = async {
            let (mut shown, mut buffer) = (Vec::new(), [0; 1024]);
            while !String::from_utf8_lossy(&shown).contains(text) {
                let length = self.output.read(&mut buffer).await?;
                anyhow::ensure!(length > 0, "a terminal's program ended: {}", String::from_utf8_lossy(&shown));
                shown.extend_from_slice(&buffer[..length]);
            }
            Ok(())
        };
        timeout(DEADLINE, reads).await.with_context(|| format!("gave up waiting for {text:?}"))?
    }
}
