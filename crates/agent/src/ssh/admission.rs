//! The first bytes of a connection: one grant, in good time, or nothing.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use berth_grant::{Audience, BadHead, GatewayKeys, Grant, HEAD_LEN, Head, Nonces, Refusal, verify};
use chrono::Utc;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// A gateway sends its grant at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// Grants that are remembered: far more than connections can be opened while one is good.
const NONCES: usize = 10_000;

#[derive(Debug)]
pub(super) struct Admission {
    audience: Audience,
    keys: PathBuf,
    nonces: Mutex<Nonces>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("it sent no grant in {} seconds", PATIENCE.as_secs())]
    Slow,
    #[error("it ended before its grant was there: {0}")]
    Broken(#[from] std::io::Error),
    #[error(transparent)]
    Head(#[from] BadHead),
    #[error("the gateways' keys cannot be read: {0}")]
    NoKeys(String),
    #[error(transparent)]
    Refusal(#[from] Refusal),
}

impl Admission {
    pub(super) fn new(audience: Audience, keys: PathBuf) -> Self {
        Self { audience, keys, nonces: Mutex::new(Nonces::new(NONCES)) }
    }

    pub(super) async fn grant(&self, stream: &mut (impl AsyncRead + Unpin)) -> Result<Grant, Refused> {
        let body = timeout(PATIENCE, body(stream)).await.map_err(|_| Refused::Slow)??;
        let mut nonces = self.nonces.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(verify(&body, &self.keys()?, self.audience, Utc::now(), &mut nonces)?)
    }

    /// Read each time: they are replaced while pods run.
    fn keys(&self) -> Result<GatewayKeys, Refused> {
        let text = std::fs::read_to_string(&self.keys).map_err(|error| Refused::NoKeys(error.to_string()))?;
        GatewayKeys::parse(&text).map_err(|line| Refused::NoKeys(format!("line {line} is no ed25519 key")))
    }
}

async fn body(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Refused> {
    let mut head = [0; HEAD_LEN];
    stream.read_exact(&mut head).await?;
    let mut body = vec![0; Head::parse(&head)?.len];
    stream.read_exact(&mut body).await?;
    Ok(body)
}
