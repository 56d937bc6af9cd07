//! Logs and terminals of one container, as a client sees them.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::StatusCode;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::berthd::User;

/// Nothing in a test takes longer between two frames.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Debug)]
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// Code and reason of a close frame.
pub type Closed = (u16, String);

impl User<'_> {
    /// Opens `logs?…` or `terminal?…`; the status when there is no upgrade.
    pub async fn socket(&self, id: &str, rest: &str) -> Result<Socket, StatusCode> {
        let joint = if rest.contains('?') { '&' } else { '?' };
        let url = format!("ws://{}/compute/containers/{id}/{rest}{joint}token={}", self.address(), self.token);
        match connect_async(url).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(answer)) => Err(StatusCode::from_u16(answer.status().as_u16()).unwrap()),
            Err(error) => panic!("opening {rest}: {error}"),
        }
    }
}

impl Socket {
    /// The next frame that is not a ping or pong.
    pub async fn next(&mut self, what: &str) -> Result<Message, Closed> {
        loop {
            let next = timeout(PATIENCE, self.0.next()).await;
            match next.unwrap_or_else(|_| panic!("gave up waiting for {what}")) {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(Some(close)))) => return Err((close.code.into(), close.reason.to_string())),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err((1006, String::new())),
                Some(Ok(message)) => return Ok(message),
            }
        }
    }

    /// One line of a log, without its time, which is looked at.
    pub async fn line(&mut self, what: &str) -> Result<String, Closed> {
        let message = self.next(what).await?;
        let text = message.to_text().expect("a line is a text frame").to_owned();
        let (at, line) = text.split_once(' ').expect("a time and a line");
        assert!(at.len() == 30 && at.ends_with('Z'), "a time with nanoseconds: {at}");
        chrono::DateTime::parse_from_rfc3339(at).expect("an RFC 3339 time");
        Ok(line.to_owned())
    }

    /// Reads lines up to this one, which is the last of them.
    pub async fn lines_until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().map(String::as_str) != Some(last) {
            let line = self.line(last).await;
            lines.push(line.unwrap_or_else(|closed| panic!("waiting for {last}: closed {closed:?} after {lines:?}")));
        }
        lines
    }

    /// Reads to the end.
    pub async fn closed(&mut self, what: &str) -> Closed {
        loop {
            if let Err(closed) = self.next(what).await {
                return closed;
            }
        }
    }

    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("the socket takes it");
    }

    pub async fn type_in(&mut self, text: &str) {
        self.send(Message::binary(text.as_bytes().to_vec())).await;
    }

    /// Reads output until it holds `text`; all of it.
    pub async fn shows(&mut self, text: &str) -> String {
        let mut shown: Vec<u8> = Vec::new();
        loop {
            // Only what is new is searched: there may be megabytes.
            let searched = shown.len().saturating_sub(text.len());
            match self.next(text).await {
                Ok(message) => shown.extend_from_slice(&message.into_data()),
                Err(closed) => panic!("closed {closed:?} before {text:?}: {}", String::from_utf8_lossy(&shown)),
            }
            if shown[searched..].windows(text.len()).any(|window| window == text.as_bytes()) {
                return String::from_utf8_lossy(&shown).into_owned();
            }
        }
    }

    /// Leaves without a word, as a machine that loses its network does.
    pub fn drop_it(self) {
        drop(self.0);
    }
}
