//! `/compute/containers/{id}/terminal`: bytes of a TTY both ways. The two directions wait for themselves alone: a paste
//! that the process does not read yet must not hold up what the process writes.

use std::pin::pin;
use std::time::Duration;

use axum::extract::ws::Message;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use berth_core::access::{Grant, Read, Update};
use berth_core::audit::Action;
use berth_core::lifecycle::Desired;
use berth_core::pod_io::Unreachable;
use berth_core::terminal::{TerminalCommand, TerminalEnd, TerminalInput, TerminalOutput, TerminalSize};
use berth_store::{Audit, Error as StoreError, Hint};
use berth_wire::TerminalFrame;
use futures::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};

use super::lifeline::{End, Heard, Lifeline, PING, Reader, Task, Writer, code, split};
use super::{Visit, pairs};
use crate::error::{Kind, Problem};
use crate::pod_io::{Input, Output, Terminal};
use crate::routes::containers::parse_id;
use crate::state::Api;

/// A browser sends a paste as one message.
const MAX_INCOMING: usize = 16 << 20;
/// Output that waits in the socket beside the frame being written.
const MAX_BUFFERED: usize = 1 << 20;

/// A terminal in the container: the user's shell, or `command` through `sh -c`. Binary frames are the TTY's bytes both ways
/// (xterm-256color, 80×24 at first); the text frame `{"type":"resize","cols":120,"rows":40}` resizes it. The close reason
/// says why it ended: 1000 the process did (its exit code), 4400 a bad frame, 4401 the credential ended, 4408 nothing was
/// typed or written for too long, 4409 the container stopped, 1013 the way to it broke.
#[utoipa::path(get, path = "/compute/containers/{id}/terminal", tag = "containers", operation_id = "open_terminal",
    params(("id" = String, Path),
        ("command" = Option<String>, Query, description = "a line for sh -c instead of the user's shell"),
        ("token" = Option<String>, Query, description = "for a browser")),
    responses((status = 101), (status = 404, body = berth_wire::Problem), (status = 409, body = berth_wire::Problem),
        (status = 422, body = berth_wire::Problem), (status = 503, body = berth_wire::Problem)))]
pub(crate) async fn terminal(
    State(api): State<Api>,
    Visit { caller, upgrade }: Visit,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let grant = caller.actor.may::<Update>(parse_id(&id)?)?.to_read();
    let row = api.store.container(&grant).await?;
    let given = pairs(query.as_deref()).filter(|(key, value)| key == "command" && !value.is_empty()).last();
    let command = given.map(|(_, line)| TerminalCommand::parse(&line)).transpose()?;
    let upgrade =
        upgrade.ok_or_else(|| Problem::new(Kind::Malformed, "a terminal is a WebSocket: ask for an upgrade"))?;
    if row.desired != Desired::Running {
        return Err(Unreachable::NotRunning("the container is stopped; start it first".to_owned()).into());
    }
    // Subscribed before the terminal is opened: a stop in between comes as a hint.
    let by = caller.actor.by().clone();
    let lifeline = Lifeline::new(api.clone(), caller);
    let terminal = api.platform.terminal(&row, command).await?;
    api.store.audit(&Audit::done(&by, Action::TerminalOpen, Some(id))).await?;
    let upgrade =
        upgrade.max_message_size(MAX_INCOMING).max_frame_size(MAX_INCOMING).max_write_buffer_size(MAX_BUFFERED);
    Ok(upgrade.on_upgrade(async move |socket| {
        metrics::gauge!("berth_terminals").increment(1.0);
        let (mut writer, mut reader) = split(socket);
        let session = Session { lifeline, grant, active: Heard::default() };
        let end = session.run(&mut writer, &mut reader, terminal).await;
        metrics::gauge!("berth_terminals").decrement(1.0);
        writer.close(reader, end).await;
    }))
}

struct Session {
    lifeline: Lifeline,
    grant: Grant<Read>,
    /// When a byte went through, in either direction.
    active: Heard,
}

impl Session {
    async fn run(mut self, writer: &mut Writer, reader: &mut Reader, terminal: Terminal) -> End {
        let Terminal { input, output } = terminal;
        let (heard, active) = (self.lifeline.heard.clone(), self.active.clone());
        tokio::select! {
            end = listen(reader, input, &heard, &active) => end,
            end = self.speak(writer, output) => end.err().unwrap_or(End::Gone),
        }
    }

    async fn speak(&mut self, writer: &mut Writer, mut output: Output) -> Result<(), End> {
        let minutes = self.lifeline.api.config.terminal_idle_minutes;
        let limit = (minutes > 0).then(|| Duration::from_secs(60 * u64::from(minutes)));
        self.lifeline.check_credential().await?;
        loop {
            tokio::select! {
                beat = self.lifeline.beat() => match self.lifeline.attend(beat).await? {
                    Task::Ping => writer.ping().await?,
                    Task::Hint(hint) => self.on_hint(hint).await?,
                    Task::Nothing => {}
                },
                next = output.next() => match next {
                    Some(TerminalOutput::Bytes(bytes)) => {
                        self.active.now();
                        writer.send(Message::Binary(bytes)).await?;
                    }
                    Some(TerminalOutput::End(end)) => return Err(self.why(end).await),
                    None => return Err(End::Failed),
                },
                () = idle(&self.active, limit) => {
                    return Err(End::because(code::IDLE, format!("nothing was typed or written for {minutes} min")));
                }
            }
        }
    }

    async fn on_hint(&mut self, hint: Hint) -> Result<(), End> {
        let concerned = match hint {
            Hint::Changed { id, .. } | Hint::Listed { id, .. } => id == self.grant.target(),
            Hint::Resync => true,
            Hint::Told { .. } | Hint::Removed { .. } | Hint::Credentials { .. } => false,
        };
        if concerned && self.is_stopped().await? { Err(stopped()) } else { Ok(()) }
    }

    async fn is_stopped(&mut self) -> Result<bool, End> {
        match self.lifeline.api.store.container(&self.grant).await {
            Ok(row) => Ok(row.desired != Desired::Running),
            Err(StoreError::NotFound) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// A stopped container ends its processes: then the stop is the reason, not the signal.
    async fn why(&mut self, end: TerminalEnd) -> End {
        match self.is_stopped().await {
            Ok(true) => return stopped(),
            Ok(false) => {}
            Err(end) => return end,
        }
        match end {
            TerminalEnd::Exited(code) => End::because(code::NORMAL, format!("exited with code {code}")),
            TerminalEnd::Lost(words) => {
                tracing::info!(words, "a terminal was lost");
                End::because(code::TRY_AGAIN, "the connection to the container was lost")
            }
        }
    }
}

fn stopped() -> End {
    End::because(code::STOPPED, "the container was stopped")
}

async fn idle(active: &Heard, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        let until = active.last() + limit;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

async fn listen(reader: &mut Reader, mut input: Input, heard: &Heard, active: &Heard) -> End {
    while let Some(Ok(message)) = reader.next().await {
        heard.now();
        let next = match message {
            Message::Binary(bytes) => TerminalInput::Bytes(bytes),
            Message::Text(text) => match resize(&text) {
                Ok(size) => TerminalInput::Resize(size),
                Err(end) => return end,
            },
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return End::Gone,
        };
        active.now();
        let mut sent = pin!(input.send(next));
        // A process that does not read holds the client up, not the other way round: it is not dead meanwhile.
        let sent = loop {
            tokio::select! {
                sent = &mut sent => break sent,
                () = sleep(PING) => heard.now(),
            }
        };
        if sent.is_err() {
            // The output knows why it ended.
            return std::future::pending().await;
        }
    }
    End::Gone
}

fn resize(text: &str) -> Result<TerminalSize, End> {
    let bad = |detail: String| End::because(code::BAD_FRAME, detail);
    let frame = serde_json::from_str(text)
        .map_err(|_| bad(r#"a text frame is {"type":"resize","cols":120,"rows":40}"#.to_owned()))?;
    match frame {
        TerminalFrame::Resize { cols, rows } => TerminalSize::new(cols, rows).map_err(|invalid| bad(invalid.detail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resizes() {
        assert_eq!(resize(r#"{"type":"resize","cols":120,"rows":40}"#).unwrap(), TerminalSize::new(120, 40).unwrap());
        for text in ["", "{}", r#"{"type":"resize","cols":1}"#, r#"{"type":"resize","cols":1,"rows":2,"x":3}"#, "[]"] {
            assert!(matches!(resize(text), Err(End::Because { code: code::BAD_FRAME, .. })), "{text}");
        }
        let beyond = r#"{"type":"resize","cols":1,"rows":100000}"#;
        assert!(matches!(resize(beyond), Err(End::Because { code: code::BAD_FRAME, .. })));
    }
}
