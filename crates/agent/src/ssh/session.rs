//! A session: what the client wants of it first, then a process in main and its bytes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use berth_sshkit::{Gate, Inlet, Writer, read_from};
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, Pty};
use rustix::termios::tcsetwinsize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::unix::pipe;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::forward::{accept, listening};
use super::link::Link;
use super::{Context, rescue, signals};
use crate::link::{Answer, Ask, Bytes, Ended, Run, Size, Start, Terminal};
use crate::spawn::winsize;

pub(super) const SFTP: &str = "sftp";
/// Variables that a client may set, and their bytes.
const MAX_VARIABLES: usize = 128;
const MAX_VARIABLE: usize = 4096;
/// What a terminal still shows after its process has ended, while somebody else keeps it open.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// As shells have it for what cannot be run.
const NOT_FOUND: u32 = 127;

pub(super) struct Task {
    context: Arc<Context>,
    gate: Arc<Gate>,
    handle: Handle,
    connection: String,
    _place: OwnedSemaphorePermit,
}

/// What a client has asked for before it starts something.
#[derive(Default)]
struct Wishes {
    terminal: Option<Terminal>,
    env: Vec<(String, Bytes)>,
    agent: bool,
}

impl Task {
    pub(super) fn new(
        context: Arc<Context>,
        gate: Arc<Gate>,
        handle: Handle,
        connection: String,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { context, gate, handle, connection, _place: place }
    }

    pub(super) async fn run(self, channel: Channel<Msg>) {
        let (mut incoming, writer) = channel.split();
        let writer = Arc::new(writer);
        if let Some((run, wishes)) = wishes(&mut incoming).await {
            match Link::open(&self.context.link) {
                Ok(link) => self.in_main(link, run, wishes, incoming, &writer).await,
                Err(_) => rescue::session(&self.context, &self.gate, run, wishes.terminal, incoming, &writer).await,
            }
        }
        let _gone = writer.close().await;
    }

    async fn in_main(&self, link: Link, run: Run, wishes: Wishes, incoming: ChannelReadHalf, writer: &Writer) {
        let Wishes { terminal, env, agent } = wishes;
        let start = Start { run, terminal, env, connection: self.connection.clone(), agent };
        let started = if start.terminal.is_some() {
            Started::with_terminal(&link, start).await
        } else {
            Started::with_pipes(&link, start).await
        };
        match started {
            Ok(started) => self.relay(link, started, incoming, writer).await,
            Err(error) => {
                let _gone = writer.extended_data_bytes(1, format!("{error}\r\n").into_bytes()).await;
                let _gone = writer.exit_status(NOT_FOUND).await;
                let _gone = writer.eof().await;
            }
        }
    }

    /// Until the process has ended and everything that it wrote is sent, or the client closes the channel.
    async fn relay(&self, link: Link, started: Started, mut incoming: ChannelReadHalf, writer: &Writer) {
        let Started { input, outputs, terminal, agent } = started;
        let (inlet, waiting) = Inlet::new(self.gate.clone(), writer.id());
        let mut inlet = Some(inlet);
        // All of these end with this function, whatever they are at.
        let (mut outputs_left, mut helpers) = (JoinSet::new(), JoinSet::new());
        helpers.spawn(waiting.write_to(input));
        for (output, extended) in outputs {
            outputs_left.spawn(read_from(output, writer.clone(), extended));
        }
        if let Some(listener) = agent.and_then(|listener| listening(listener).ok()) {
            let (context, gate, handle) = (self.context.clone(), self.gate.clone(), self.handle.clone());
            helpers.spawn(accept(listener, context, gate, move || {
                let handle = handle.clone();
                async move { handle.channel_open_agent().await }
            }));
        }
        let ended = loop {
            tokio::select! {
                message = incoming.wait() => match message {
                    Some(ChannelMsg::Data { data }) => inlet.iter().for_each(|inlet| inlet.give(data.clone())),
                    // A terminal's input has no end but the terminal's own.
                    Some(ChannelMsg::Eof) => if terminal.is_none() { inlet = None },
                    Some(ChannelMsg::Signal { signal }) => if let Some(number) = signals::number(&signal) {
                        let _gone = link.say(&Ask::Signal(number), &[]);
                    },
                    Some(ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height }) => {
                        if let Some(terminal) = &terminal {
                            let size = size(col_width, row_height, pix_width, pix_height);
                            let _gone = tcsetwinsize(terminal, winsize(size));
                        }
                    }
                    Some(ChannelMsg::Close) | None => return,
                    Some(_other) => {}
                },
                answer = link.hear() => match answer {
                    Ok((Answer::Ended(ended), _)) => break Some(ended),
                    Ok(_other) => {}
                    // `spawn` was killed, most likely with all of main.
                    Err(_) => break None,
                },
            }
        };
        let last_words = async { while outputs_left.join_next().await.is_some() {} };
        if terminal.is_some() || ended.is_none() {
            let _kept_open = timeout(LAST_WORDS, last_words).await;
        } else {
            // A command has ended when nobody can write its output any more, as with any other SSH server.
            tokio::pin!(last_words);
            loop {
                tokio::select! {
                    () = &mut last_words => break,
                    message = incoming.wait() => if let Some(ChannelMsg::Close) | None = message { return },
                }
            }
        }
        let _gone = match ended {
            Some(Ended::Code(code)) => writer.exit_status(u32::try_from(code).unwrap_or(1)).await.map_err(drop),
            Some(Ended::Signal { number, core }) => {
                let (name, words) = (signals::signal(number), String::new());
                self.handle.exit_signal_request(writer.id(), name, core, words, String::new()).await
            }
            None => {
                let words = "\r\nThe container's main process ended, and this session with it.\r\n";
                writer.extended_data_bytes(1, words.as_bytes()).await.map_err(drop)
            }
        };
        let _gone = writer.eof().await;
    }
}

/// What comes before the start; `None` when the client leaves instead.
async fn wishes(incoming: &mut ChannelReadHalf) -> Option<(Run, Wishes)> {
    let mut wishes = Wishes::default();
    loop {
        match incoming.wait().await? {
            ChannelMsg::RequestPty { term, col_width, row_height, pix_width, pix_height, terminal_modes, .. } => {
                let modes = terminal_modes.into_iter().map(|(mode, argument): (Pty, u32)| (mode as u8, argument));
                let size = size(col_width, row_height, pix_width, pix_height);
                let term = term.chars().take(64).collect();
                wishes.terminal = Some(Terminal { term, size, modes: modes.collect() });
            }
            ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height } => {
                let terminal = wishes.terminal.iter_mut();
                terminal.for_each(|terminal| terminal.size = size(col_width, row_height, pix_width, pix_height));
            }
            ChannelMsg::SetEnv { variable_name, variable_value, .. } => {
                let fits = variable_name.len() + variable_value.len() <= MAX_VARIABLE;
                if fits && wishes.env.len() < MAX_VARIABLES {
                    wishes.env.push((variable_name, Bytes(variable_value.into_bytes())));
                }
            }
            ChannelMsg::AgentForward { .. } => wishes.agent = true,
            ChannelMsg::RequestShell { .. } => return Some((Run::Shell, wishes)),
            ChannelMsg::Exec { command, .. } => return Some((Run::Command(Bytes(command)), wishes)),
            ChannelMsg::RequestSubsystem { name, .. } if name == SFTP => {
                // A terminal would change the bytes.
                wishes.terminal = None;
                return Some((Run::Sftp, wishes));
            }
            ChannelMsg::Close => return None,
            _other => {}
        }
    }
}

fn size(columns: u32, rows: u32, width: u32, height: u32) -> Size {
    let [columns, rows, width, height] =
        [columns, rows, width, height].map(|number| u16::try_from(number).unwrap_or(u16::MAX));
    Size { columns, rows, width, height }
}

type Input = Pin<Box<dyn AsyncWrite + Send>>;
type Output = Pin<Box<dyn AsyncRead + Send>>;

/// A process that runs, from outside.
struct Started {
    input: Input,
    /// Each with its number among a channel's extended data.
    outputs: Vec<(Output, Option<u32>)>,
    /// Its size is set on it.
    terminal: Option<OwnedFd>,
    agent: Option<OwnedFd>,
}

impl Started {
    async fn with_terminal(link: &Link, start: Start) -> io::Result<Self> {
        let mut fds = asked(link, start, &[]).await?.into_iter();
        let master = fds.next().ok_or(io::ErrorKind::InvalidData)?;
        if !rustix::termios::isatty(&master) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        rustix::io::ioctl_fionbio(&master, true)?;
        let (input, output) = (master.try_clone()?, master.try_clone()?);
        Ok(Self {
            input: Box::pin(pipe::Sender::from_owned_fd_unchecked(input)?),
            // When nobody has the terminal open any more, reading fails: the end.
            outputs: vec![(Box::pin(pipe::Receiver::from_owned_fd_unchecked(output)?), None)],
            terminal: Some(master),
            agent: fds.next(),
        })
    }

    /// The pipes are made here and their other ends given away: whoever has those cannot change how ours behave.
    async fn with_pipes(link: &Link, start: Start) -> io::Result<Self> {
        let pair = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let ((input, our_input), (our_output, output), (our_error, error)) = (pair()?, pair()?, pair()?);
        let fds = asked(link, start, &[input.as_fd(), output.as_fd(), error.as_fd()]).await?;
        Ok(Self {
            input: Box::pin(pipe::Sender::from_owned_fd(our_input)?),
            outputs: vec![
                (Box::pin(pipe::Receiver::from_owned_fd(our_output)?), None),
                (Box::pin(pipe::Receiver::from_owned_fd(our_error)?), Some(1)),
            ],
            terminal: None,
            agent: fds.into_iter().next(),
        })
    }
}

async fn asked(link: &Link, start: Start, beside: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<Vec<OwnedFd>> {
    match link.ask(&Ask::Start(Box::new(start)), beside).await? {
        (Answer::Started, fds) => Ok(fds),
        (Answer::Refused(words), _) => Err(io::Error::other(words)),
        (Answer::Opened | Answer::Ended(_), _) => Err(io::ErrorKind::InvalidData.into()),
    }
}
