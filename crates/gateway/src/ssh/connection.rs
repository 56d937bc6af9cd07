//! The life of one person's connection, from its first byte to its line in the audit log.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_core::connection::Spoken;
use russh::Disconnect;
use russh::server::Handle;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::ended::Reason;
use super::name::Named;
use super::server::Server;
use super::wire::Wire;
use super::{Ssh, words};

/// For a person, or their agent's confirmation, to log in.
const GRACE: Duration = Duration::from_secs(20);
/// For the last words to be read, before a connection is cut.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Who has logged in.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// `SHA256:…`
    pub(super) fingerprint: String,
    pub(super) named: Named,
}

pub(super) async fn run(ssh: Arc<Ssh>, stream: TcpStream, from: SocketAddr) {
    let ticket = ssh.unknown.enter(from.ip());
    let _open = Counted::new();
    let cut = CancellationToken::new();
    let _at_the_end = cut.clone().drop_guard();
    let (Ok(()), Ok(local)) = (stream.set_nodelay(true), stream.local_addr()) else { return };
    let (wire, passed) = Wire::new(stream, &cut);
    let (tell, told) = oneshot::channel();
    let refused = Arc::new(AtomicBool::new(false));
    let server = Server::new(ssh.clone(), from, local.ip(), tell, refused.clone());
    let session = async {
        if let Ok(session) = russh::server::run_stream(ssh.server.clone(), wire, server).await {
            let _ended = session.await;
        }
    };
    tokio::pin!(session);
    let login = tokio::select! {
        biased;
        Ok(login) = told => Ok(login),
        () = &mut session => Err(if refused.load(Ordering::Relaxed) { "refused" } else { "left" }),
        () = ticket.pushed_out() => Err("busy"),
        () = sleep(GRACE) => Err("slow"),
        () = ssh.stop.cancelled() => Err("left"),
    };
    drop(ticket);
    let (login, handle) = match login {
        Ok(login) => login,
        Err(outcome) => return count(outcome),
    };
    let place = ssh.logins.take(login.fingerprint.clone());
    count(if place.is_some() { "accepted" } else { "many" });
    let Some(_place) = place else {
        let farewell = async { tokio::join!(say_goodbye(&handle, words::TOO_MANY_LOGINS), &mut session) };
        let _cut = timeout(LAST_WORDS, farewell).await;
        return;
    };

    let entry = match login.named {
        Named::Container(id, _) => ssh.shared.table.get(id),
        // Each of its destinations has a line of its own in the audit log.
        Named::Jump | Named::Other | Named::Unclear | Named::Nobody => None,
    };
    let recorded =
        entry.map(|entry| ssh.shared.log.open(Spoken::Ssh, &entry.now(), Some(&login.fingerprint), from.ip()));
    let reason = tokio::select! {
        () = &mut session => Reason::Left,
        () = withdrawn(&ssh, &login) => {
            let farewell = async { tokio::join!(say_goodbye(&handle, words::WITHDRAWN), &mut session) };
            let _cut = timeout(LAST_WORDS, farewell).await;
            Reason::Withdrawn
        }
        () = ssh.stop.cancelled() => {
            let farewell = async { tokio::join!(say_goodbye(&handle, words::STOPPING), &mut session) };
            let _cut = timeout(LAST_WORDS, farewell).await;
            Reason::Stopping
        }
    };
    let (up, down) = passed.both();
    if let Some(mut recorded) = recorded {
        recorded.received(up);
        recorded.sent(down);
    }
    tracing::debug!(%from, who = login.fingerprint, named = ?login.named, ?reason, "an SSH connection ended");
}

/// Until the ground is gone on which this person was let in. A jump's destinations look after themselves.
async fn withdrawn(ssh: &Ssh, login: &Login) {
    let Named::Container(id, _) = login.named else { return pending().await };
    if let Some(entry) = ssh.shared.table.get(id) {
        // Who came to a stopped container is told so, and is gone before anything else can change.
        let stopped = entry.now().stopped;
        entry.until_not(|target| target.accepts(&login.fingerprint) && (stopped || !target.stopped)).await;
    }
}

async fn say_goodbye(handle: &Handle, words: &str) {
    let _gone = handle.disconnect(Disconnect::ByApplication, words.to_owned(), "en".to_owned()).await;
}

fn count(outcome: &'static str) {
    metrics::counter!("berth_gateway_connections_total", "protocol" => "ssh", "outcome" => outcome).increment(1);
}

/// An open connection, in the metrics.
struct Counted(());

impl Counted {
    fn new() -> Self {
        metrics::gauge!("berth_gateway_connections", "protocol" => "ssh").increment(1.0);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("berth_gateway_connections", "protocol" => "ssh").decrement(1.0);
    }
}
