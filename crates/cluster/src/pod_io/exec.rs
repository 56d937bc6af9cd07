//! One process started in a container, over a WebSocket to the API server.
//!
//! kube's own `AttachedProcess` moves both directions in one loop: a long paste whose echo nobody has read yet would stop
//! both for good. Here the two halves of the connection are handed out, and each waits for itself alone.

use std::pin::Pin;

use berth_core::names::POD;
use berth_core::pod_io::Unreachable;
use berth_core::terminal::{TerminalEnd, TerminalInput, TerminalOutput, TerminalSize};
use bytes::{BufMut, Bytes, BytesMut};
use futures::Sink;
use futures::stream::{BoxStream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, Request};
use kube::{Client, Resource};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Result, cluster};

/// Channels of the protocol `v5.channel.k8s.io`: the first byte of every frame.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;

pub(super) type Sender = Pin<Box<dyn Sink<Message, Error = Error> + Send>>;
pub(super) type Receiver = BoxStream<'static, std::result::Result<Message, Error>>;

pub(super) async fn start(
    client: &Client,
    namespace: &str,
    command: &[&str],
    params: &AttachParams,
) -> Result<(Sender, Receiver)> {
    let request = Request::new(Pod::url_path(&(), Some(namespace))).exec(POD, command.iter().copied(), params);
    let request = request.map_err(|error| Unreachable::Cluster(error.to_string()))?;
    let connection = client.connect(request).await.map_err(|error| match error {
        kube::Error::Api(status) if matches!(status.code, 400 | 404) => nothing_runs(),
        error => cluster(error),
    })?;
    let (sender, receiver) = connection.into_stream().split();
    Ok((Box::pin(sender), receiver.boxed()))
}

pub(super) fn nothing_runs() -> Unreachable {
    Unreachable::NotRunning("the container is not running".to_owned())
}

fn frame(channel: u8, payload: &[u8]) -> Message {
    let mut bytes = BytesMut::with_capacity(payload.len() + 1);
    bytes.put_u8(channel);
    bytes.put_slice(payload);
    Message::Binary(bytes.freeze())
}

pub(super) fn stdin(bytes: &[u8]) -> Message {
    frame(STDIN, bytes)
}

pub(super) fn resize(size: TerminalSize) -> Message {
    frame(RESIZE, json!({ "Width": size.cols(), "Height": size.rows() }).to_string().as_bytes())
}

pub(super) fn input(input: &TerminalInput) -> Message {
    match input {
        TerminalInput::Bytes(bytes) => stdin(bytes),
        TerminalInput::Resize(size) => resize(*size),
    }
}

/// What comes next; nothing follows an end.
pub(super) async fn next(receiver: &mut Receiver) -> TerminalOutput {
    loop {
        match receiver.next().await {
            Some(Ok(Message::Binary(bytes))) => {
                if let Some(output) = read(&bytes) {
                    return output;
                }
            }
            Some(Ok(
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_),
            )) => {}
            Some(Err(error)) => return TerminalOutput::End(TerminalEnd::Lost(error.to_string())),
            None => return TerminalOutput::End(TerminalEnd::Lost("the connection to it was closed".to_owned())),
        }
    }
}

fn read(bytes: &Bytes) -> Option<TerminalOutput> {
    match (*bytes.first()?, bytes.slice(1..)) {
        // Each channel opens with an empty frame.
        (_, payload) if payload.is_empty() => None,
        (STDOUT | STDERR, payload) => Some(TerminalOutput::Bytes(payload)),
        (STATUS, payload) => Some(TerminalOutput::End(end(&payload))),
        (_, _) => None,
    }
}

fn end(status: &[u8]) -> TerminalEnd {
    let status: Status = match serde_json::from_slice(status) {
        Ok(status) => status,
        Err(error) => return TerminalEnd::Lost(format!("its end cannot be read: {error}")),
    };
    if status.status.as_deref() == Some("Success") {
        return TerminalEnd::Exited(0);
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let code = causes.into_iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    match code.and_then(|cause| cause.message.as_ref()?.parse().ok()) {
        Some(code) => TerminalEnd::Exited(code),
        None => TerminalEnd::Lost(status.message.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_cluster() {
        let of = |channel: u8, text: &str| read(&Bytes::from([&[channel], text.as_bytes()].concat()));
        assert_eq!(of(1, "out"), Some(TerminalOutput::Bytes(Bytes::from("out"))));
        assert_eq!(of(1, ""), None);
        assert_eq!(of(9, "x"), None);
        assert_eq!(read(&Bytes::new()), None);
        let ended = |text| of(3, text).unwrap();
        assert_eq!(ended(r#"{"status":"Success"}"#), TerminalOutput::End(TerminalEnd::Exited(0)));
        let code = r#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#;
        assert_eq!(ended(code), TerminalOutput::End(TerminalEnd::Exited(3)));
        let words = r#"{"status":"Failure","reason":"InternalError","message":"words"}"#;
        assert_eq!(ended(words), TerminalOutput::End(TerminalEnd::Lost("words".to_owned())));
        assert!(matches!(ended("{"), TerminalOutput::End(TerminalEnd::Lost(_))));
    }

    #[test]
    fn frames_to_the_cluster() {
        let size = TerminalInput::Resize(TerminalSize::FIRST);
        assert_eq!(input(&size).into_data(), Bytes::from("\u{4}{\"Height\":24,\"Width\":80}"));
        assert_eq!(input(&TerminalInput::Bytes(Bytes::from("ls"))).into_data(), Bytes::from("\0ls"));
    }
}
