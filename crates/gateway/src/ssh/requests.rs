//! Requests of a session on their way to the container. The person's next request is not looked at before this one has its
//! answer: the library remembers of one request alone whether it wants one, and answers have no names. The agent answers at
//! once, and each session has an inner connection of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::{ChannelId, ChannelWriteHalf, Error, client, server};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;

/// An agent that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where answers come in: as many as there are requests, and there is one request at a time.
#[derive(Debug)]
pub(super) struct Replies(UnboundedSender<bool>);

impl Replies {
    pub(super) fn tell(&self, success: bool) {
        let _nobody_waits = self.0.send(success);
    }
}

/// Where a session's requests go.
pub(super) enum Far {
    Container(Session),
    /// There is no container to speak to: these words are the session.
    Words {
        text: String,
        terminal: AtomicBool,
    },
}

/// What a session is to be.
pub(super) enum Start<'a> {
    Shell,
    Exec(&'a [u8]),
    Subsystem(&'a str),
}

impl Far {
    /// In the container; or the words are said.
    pub(super) async fn start(
        &self,
        channel: ChannelId,
        what: Start<'_>,
        session: &mut server::Session,
    ) -> Result<(), Error> {
        match self {
            Self::Container(far) => {
                let sent = match what {
                    Start::Shell => far.writer.request_shell(true).await,
                    Start::Exec(command) => far.writer.exec(true, command).await,
                    Start::Subsystem(name) => far.writer.request_subsystem(true, name).await,
                };
                let started = far.answer(sent).await;
                if started {
                    far.set_started();
                }
                answer(started, channel, session)
            }
            Self::Words { text, terminal } => {
                let mut text = format!("{}\n", text.trim_end());
                if terminal.load(Ordering::Relaxed) {
                    text = text.replace('\n', "\r\n");
                }
                session.channel_success(channel)?;
                session.extended_data(channel, 1, text.into_bytes())?;
                session.exit_status_request(channel, 1)?;
                session.eof(channel)?;
                session.close(channel)
            }
        }
    }
}

pub(super) fn answer(yes: bool, channel: ChannelId, session: &mut server::Session) -> Result<(), Error> {
    if yes { session.channel_success(channel) } else { session.channel_failure(channel) }
}

pub(super) struct Session {
    pub(super) writer: Arc<ChannelWriteHalf<client::Msg>>,
    replies: tokio::sync::Mutex<UnboundedReceiver<bool>>,
    started: AtomicBool,
}

impl Session {
    pub(super) fn new(writer: Arc<ChannelWriteHalf<client::Msg>>) -> (Self, Replies) {
        let (tell, replies) = mpsc::unbounded_channel();
        (Self { writer, replies: replies.into(), started: AtomicBool::new(false) }, Replies(tell))
    }

    /// What the agent answered to what was `sent`.
    pub(super) async fn answer(&self, sent: Result<(), Error>) -> bool {
        if sent.is_err() {
            return false;
        }
        let mut replies = self.replies.lock().await;
        match timeout(PATIENCE, replies.recv()).await {
            Ok(reply) => reply == Some(true),
            Err(_late) => {
                // Whatever comes now would be taken for the answer to the next request.
                self.set_started();
                false
            }
        }
    }

    /// Once something runs, nothing can be asked for it any more; and its output may stand before the answer.
    pub(super) fn is_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    pub(super) fn set_started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }
}

/// The sessions of one connection.
#[derive(Default, Clone)]
pub(super) struct Sessions(Arc<Mutex<HashMap<ChannelId, Arc<Far>>>>);

/// Forgets its session when it is dropped.
pub(super) struct Entered {
    sessions: Sessions,
    channel: ChannelId,
}

impl Sessions {
    pub(super) fn enter(&self, channel: ChannelId, far: Far) -> Entered {
        self.all().insert(channel, Arc::new(far));
        Entered { sessions: self.clone(), channel }
    }

    pub(super) fn get(&self, channel: ChannelId) -> Option<Arc<Far>> {
        self.all().get(&channel).cloned()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<ChannelId, Arc<Far>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.sessions.all().remove(&self.channel);
    }
}
