//! Terminals: a shell on a TTY in the container.
//!
//! The runtime leaves such a process alone when its client has gone: it would run for ever. So a second, tiny process is
//! started beside it, the lease. Its standard input is a pipe that breaks with our connection, whatever happens to it or
//! to berthd, and then it hangs the terminal up, as sshd does.

use std::pin::Pin;
use std::time::Duration;

use berth_core::container::Container;
use berth_core::names::MAIN;
use berth_core::pod_io::Unreachable;
use berth_core::terminal::{TerminalCommand, TerminalEnd, TerminalInput, TerminalOutput, TerminalSize};
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, iter};
use futures::{Sink, SinkExt, StreamExt};
use kube::api::AttachParams;
use tokio::time::timeout;

use super::exec::{self, Receiver, Sender};
use super::{PodIo, Result};

/// A process that has not started by then will not.
const STARTS: Duration = Duration::from_secs(15);

/// Bytes of one frame to the cluster.
const PIECE: usize = 32 * 1024;

/// Says its process id first, in a sequence that no terminal shows. Not a login shell: /etc/profile would take the
/// image's own PATH away.
const SHELL: &str = r#"printf '\033]7337;%s\007' "$$"
while read -r k v _; do [ "$k" = Uid: ] && uid=$v; done 2>/dev/null </proc/self/status
while IFS=: read -r n _ u _ _ h s; do
  [ "$u" = "$uid" ] && { name=$n home=$h shell=$s; break; }
done 2>/dev/null </etc/passwd
export TERM=xterm-256color
[ -n "$name" ] && export USER="$name" LOGNAME="$name"
[ -n "$home" ] && export HOME="$home"
cd "${HOME:-/}" 2>/dev/null || cd /
[ -n "$1" ] && exec /bin/sh -c "$1"
for s in "$shell" /bin/bash /bin/sh; do
  case $s in ''|*nologin|*/false) continue;; esac
  [ -x "$s" ] && { export SHELL="$s"; exec "$s"; }
done"#;

/// Reads a line: then the terminal has ended by itself. Without one the client has gone.
const LEASE: &str = r#"read -r _ && exit
kill -HUP "$1" 2>/dev/null || exit
kill -CONT "$1" 2>/dev/null
for _ in 1 2 3; do kill -0 "$1" 2>/dev/null || exit; sleep 1; done
kill -KILL "$1""#;

/// The sequence of [`SHELL`], around a process id.
const MARK: (&[u8], u8) = (b"\x1b]7337;", 0x07);
/// What a shell may say before, of its own start.
const PREAMBLE: usize = 4096;

pub type Input = Pin<Box<dyn Sink<TerminalInput, Error = Unreachable> + Send>>;
pub type Output = BoxStream<'static, TerminalOutput>;

/// Dropping both halves hangs it up.
#[expect(missing_debug_implementations, reason = "its halves have none")]
pub struct Terminal {
    pub input: Input,
    pub output: Output,
}

impl PodIo {
    /// # Errors
    /// [`Unreachable`]; then nothing runs.
    pub async fn terminal(&self, row: &Container, command: Option<TerminalCommand>) -> Result<Terminal> {
        if !self.main_container(row).await?.is_some_and(|main| main.is_running()) {
            return Err(exec::nothing_runs());
        }
        let (io, namespace) = (self.clone(), row.names().namespace());
        // A caller who leaves now must not leave a shell without its lease: the task goes on, and drops it with one.
        let open = tokio::spawn(async move {
            let opened = timeout(STARTS, open(&io, &namespace, command.as_ref())).await;
            opened.unwrap_or_else(|_late| Err(Unreachable::Cluster("the terminal did not start in time".to_owned())))
        });
        open.await.map_err(|error| Unreachable::Cluster(error.to_string()))?
    }
}

async fn open(io: &PodIo, namespace: &str, command: Option<&TerminalCommand>) -> Result<Terminal> {
    let params = AttachParams {
        container: Some(MAIN.to_owned()),
        stdin: true,
        stdout: true,
        stderr: false,
        tty: true,
        ..AttachParams::default()
    };
    let line = command.map_or("", TerminalCommand::as_str);
    let words = ["/bin/sh", "-c", SHELL, "berth", line];
    let (mut sender, mut receiver) = exec::start(&io.client, namespace, &words, &params).await?;
    sender.send(exec::resize(TerminalSize::FIRST)).await.map_err(lost)?;
    let (pid, first) = process_id(&mut receiver).await?;
    let lease = lease(io, namespace, pid).await?;
    let feed = Feed { receiver, lease, first, ended: false };
    let output = futures::stream::unfold(feed, async |mut feed| feed.next().await.map(|output| (output, feed)));
    let input =
        sender.sink_map_err(lost).with_flat_map(|input| iter(pieces(input)).map(|piece| Ok(exec::input(&piece))));
    Ok(Terminal { input: Box::pin(input), output: output.boxed() })
}

/// A paste of megabytes goes in frames of a bounded size: what comes after it can be sent in between, and no buffer grows.
fn pieces(input: TerminalInput) -> Vec<TerminalInput> {
    match input {
        TerminalInput::Bytes(mut bytes) => {
            let mut pieces = Vec::with_capacity(bytes.len().div_ceil(PIECE));
            while !bytes.is_empty() {
                pieces.push(TerminalInput::Bytes(bytes.split_to(bytes.len().min(PIECE))));
            }
            pieces
        }
        TerminalInput::Resize(_) => vec![input],
    }
}

fn lost(error: tokio_tungstenite::tungstenite::Error) -> Unreachable {
    Unreachable::Cluster(format!("the connection to the container broke: {error}"))
}

async fn lease(io: &PodIo, namespace: &str, pid: u32) -> Result<(Sender, Receiver)> {
    let params = AttachParams {
        container: Some(MAIN.to_owned()),
        stdin: true,
        stdout: false,
        stderr: false,
        tty: false,
        ..AttachParams::default()
    };
    exec::start(&io.client, namespace, &["/bin/sh", "-c", LEASE, "berth", &pid.to_string()], &params).await
}

/// Reads up to the mark; what else was written is kept.
async fn process_id(receiver: &mut Receiver) -> Result<(u32, Bytes)> {
    let mut read = BytesMut::new();
    loop {
        match exec::next(receiver).await {
            TerminalOutput::Bytes(bytes) => read.extend_from_slice(&bytes),
            TerminalOutput::End(end) => return Err(did_not_start(end)),
        }
        if let Some(found) = find_mark(&read) {
            return Ok(found);
        }
        if read.len() > PREAMBLE {
            return Err(Unreachable::Cluster("the shell did not say its process id".to_owned()));
        }
    }
}

fn find_mark(read: &[u8]) -> Option<(u32, Bytes)> {
    let (open, close) = MARK;
    let start = read.windows(open.len()).position(|window| window == open)?;
    let after = &read[start + open.len()..];
    let length = after.iter().position(|byte| *byte == close)?;
    let pid = std::str::from_utf8(&after[..length]).ok()?.parse().ok()?;
    Some((pid, Bytes::from([&read[..start], &after[length + 1..]].concat())))
}

fn did_not_start(end: TerminalEnd) -> Unreachable {
    match end {
        TerminalEnd::Exited(126 | 127) => Unreachable::NoShell,
        TerminalEnd::Exited(code) => Unreachable::Cluster(format!("the shell ended at once with exit code {code}")),
        TerminalEnd::Lost(words) if words.contains("\"/bin/sh\"") => Unreachable::NoShell,
        TerminalEnd::Lost(words) if words.contains("not found") || words.contains("container is in") => {
            exec::nothing_runs()
        }
        TerminalEnd::Lost(words) => {
            tracing::warn!(words, "a shell could not be started");
            Unreachable::Cluster("the shell could not be started".to_owned())
        }
    }
}

struct Feed {
    receiver: Receiver,
    lease: (Sender, Receiver),
    /// Came together with the mark.
    first: Bytes,
    ended: bool,
}

impl Feed {
    async fn next(&mut self) -> Option<TerminalOutput> {
        if self.ended {
            return None;
        }
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() {
            return Some(TerminalOutput::Bytes(first));
        }
        let output = exec::next(&mut self.receiver).await;
        match &output {
            TerminalOutput::Bytes(_) => {}
            TerminalOutput::End(TerminalEnd::Exited(_)) => {
                self.ended = true;
                self.release().await;
            }
            TerminalOutput::End(TerminalEnd::Lost(_)) => self.ended = true,
        }
        Some(output)
    }

    /// The process has ended: the lease must not look for its number, which another may have by then.
    async fn release(&mut self) {
        let released = self.lease.0.send(exec::stdin(b"\n")).await;
        let ended = timeout(Duration::from_secs(1), exec::next(&mut self.lease.1)).await;
        tracing::trace!(?released, in_time = ended.is_ok(), "a terminal ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_taken_out() {
        let found = find_mark(b"warning\r\n\x1b]7337;42\x07root# ");
        assert_eq!(found, Some((42, Bytes::from_static(b"warning\r\nroot# "))));
        for text in [b"root# ".as_slice(), b"\x1b]7337;4", b"\x1b]7337;x\x07", b""] {
            assert_eq!(find_mark(text), None);
        }
    }

    #[test]
    fn a_paste_goes_in_pieces() {
        let paste = TerminalInput::Bytes(Bytes::from(vec![b'x'; 2 * PIECE + 1]));
        let lengths: Vec<usize> = pieces(paste).iter().map(|piece| exec::input(piece).len()).collect();
        assert_eq!(lengths, [PIECE + 1, PIECE + 1, 2]);
        assert_eq!(pieces(TerminalInput::Bytes(Bytes::new())), []);
    }

    #[test]
    fn why_it_did_not_start() {
        let words = |text: &str| did_not_start(TerminalEnd::Lost(text.to_owned()));
        assert_eq!(words("exec: \"/bin/sh\": stat /bin/sh: no such file or directory"), Unreachable::NoShell);
        assert_eq!(words("container not found (\"main\")"), exec::nothing_runs());
        assert!(matches!(words("no space left"), Unreachable::Cluster(_)));
    }
}
