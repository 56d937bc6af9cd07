//! Connections to agents: each begins with a grant that says who may log in over it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use berth_grant::{Grant, LIFETIME};
use chrono::Utc;
use rand::RngExt;
use ssh_key::public::KeyData;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::keys::Keys;
use crate::table::Target;

/// In a pod's network a connection takes milliseconds; where a policy drops it silently, nobody waits for longer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why a container's agent was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    #[error("the container has no pod")]
    NoPod,
    #[error("the container's agent does not answer")]
    Silent,
    #[error("the container's agent cannot be reached: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Grant(#[from] berth_grant::Unencodable),
}

/// Over the stream that is returned these keys may log in by SSH, and no others. `from` is the person's address.
pub(crate) async fn open(
    target: &Target,
    keys: Vec<KeyData>,
    from: SocketAddr,
    own: &Keys,
) -> Result<TcpStream, Unreached> {
    let address = target.agent_address().ok_or(Unreached::NoPod)?;
    let grant = Grant {
        container: target.id,
        generation: target.generation,
        keys,
        address: from,
        expires: Utc::now() + LIFETIME,
        nonce: rand::rng().random(),
    };
    let ahead = grant.sign(&own.grant)?;
    let connect = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&ahead).await?;
        Ok(stream)
    };
    tokio::time::timeout(TIMEOUT, connect).await.map_err(|_| Unreached::Silent)?
}
