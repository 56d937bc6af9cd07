//! Takes what the spool holds to the API, oldest first, for as long as that takes.

use std::net::SocketAddr;
use std::time::Duration;

use berth_grant::ed25519_dalek::SigningKey;
use berth_grant::report;

use super::spool::told;
use super::{Spool, lost};

/// Between two tries while the API is away.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Reporter {
    url: String,
    client: reqwest::Client,
}

/// What became of one report.
enum Told {
    Kept,
    /// It will never be taken as it is.
    Refused(String),
    /// Try again.
    Away(String),
}

impl Reporter {
    pub(crate) fn new(api: SocketAddr) -> Self {
        let url = format!("http://{api}/compute/gateway/connections");
        Self { url, client: reqwest::Client::new() }
    }

    /// Without end.
    pub(crate) async fn run(&self, spool: &Spool, key: &SigningKey) {
        let mut failures = 0;
        loop {
            match self.all(spool, key).await {
                Ok(()) => {
                    failures = 0;
                    spool.arrived.notified().await;
                }
                Err(why) => {
                    if failures == 0 {
                        tracing::warn!(why, "connections cannot be reported to the API now; they wait on disk");
                    }
                    tokio::time::sleep(PAUSES[failures.min(PAUSES.len() - 1)]).await;
                    failures += 1;
                }
            }
        }
    }

    /// Everything that waits now.
    pub(super) async fn all(&self, spool: &Spool, key: &SigningKey) -> Result<(), String> {
        for file in spool.waiting().map_err(|error| error.to_string())? {
            let Ok(body) = std::fs::read(&file) else { continue };
            let connections = told(&body);
            match self.one(body, key).await {
                Told::Kept => {}
                Told::Refused(why) => lost(connections, &why),
                Told::Away(why) => return Err(why),
            }
            std::fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        Ok(())
    }

    async fn one(&self, body: Vec<u8>, key: &SigningKey) -> Told {
        let signature = report::sign(&body, key);
        let request = self.client.post(&self.url).timeout(TIMEOUT).header(report::HEADER, signature);
        let request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Told::Kept,
            // The key may be on its way to the API.
            Ok(answer) if answer.status() == reqwest::StatusCode::UNAUTHORIZED => {
                Told::Away("the API does not know this gateway's key".to_owned())
            }
            Ok(answer) if answer.status().is_client_error() => {
                Told::Refused(format!("the API answers {}", answer.status()))
            }
            Ok(answer) => Told::Away(format!("the API answers {}", answer.status())),
            Err(error) => Told::Away(error.to_string()),
        }
    }
}
