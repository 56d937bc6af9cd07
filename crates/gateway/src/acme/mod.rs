//! Certificates by ACME. Replicas share one Secret: what it says, each shows (the challenges in the zone, the certificate in
//! handshakes), and what is to be done, one of them does, whoever wrote its claim into the Secret first.
//!
//! `plan` decides, `state` is what the Secret holds; both are pure. `secret`, `directory` and `order` touch the world.

mod config;
mod directory;
mod order;
mod plan;
mod secret;
mod state;

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use kube::Client;
use rand::RngExt;
use rustls::sign::CertifiedKey;
use secrecy::SecretString;
use tokio::sync::{Notify, watch as cell};

pub use config::Acme as Settings;
use directory::{Directory, Failure, Kind};
use order::Wish;
use plan::Step;
use secret::{Found, Look, Shelf};
use state::{Certificate, State, Wanted, Window};

use crate::Config;
use crate::tls::Failed;

/// An order that takes longer is given up, well before the claim on it runs out.
const ORDER: Duration = Duration::from_secs(240);
/// From when our own watch brought the challenges to when every replica's did.
const SPREAD: Duration = Duration::from_secs(2);
/// After the Secret could not be written.
const BREATH: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(3600);
/// After the directory did not say when to renew.
const ASK_LATER: TimeDelta = TimeDelta::hours(1);

/// What the rest of the gateway shows of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    /// Whether the cluster said anything yet.
    looked: bool,
    challenges: Vec<String>,
    pub(crate) certificate: Option<Arc<CertifiedKey>>,
}

pub(crate) struct Acme {
    settings: Settings,
    wanted: Wanted,
    /// Of this process alone: one that died and came back is another.
    me: String,
    directory: Directory,
    shown: cell::Sender<Shown>,
}

impl std::fmt::Debug for Acme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acme").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// Why an order ended early.
#[derive(Debug)]
enum Stopped {
    Failed(Failure),
    Acme(instant_acme::Error),
    /// The claim, or the cluster.
    Lost(secret::Error),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<instant_acme::Error> for Stopped {
    fn from(error: instant_acme::Error) -> Self {
        Self::Acme(error)
    }
}

impl From<secret::Error> for Stopped {
    fn from(error: secret::Error) -> Self {
        Self::Lost(error)
    }
}

impl Acme {
    /// # Errors
    /// Names the setting that cannot be.
    pub(crate) fn new(config: &Config, apex: &str) -> Result<Option<Self>, Failed> {
        let Some(settings) = config.acme.clone() else { return Ok(None) };
        let loaded = settings.load(config)?;
        let directory = Directory::new(&settings, loaded)?;
        let names = vec![apex.to_owned(), format!("*.{apex}")];
        let wanted = Wanted { directory: settings.directory.clone(), names };
        let me = format!("{:016x}", rand::rng().random::<u64>());
        Ok(Some(Self { settings, wanted, me, directory, shown: cell::Sender::default() }))
    }

    /// What `_acme-challenge` says now.
    pub(crate) fn challenges(&self) -> Vec<String> {
        self.shown.borrow().challenges.clone()
    }

    pub(crate) fn shown(&self) -> cell::Receiver<Shown> {
        self.shown.subscribe()
    }

    /// Returns once it is known whether there is a certificate already.
    pub(crate) async fn looked(&self) {
        let mut shown = self.shown.subscribe();
        // The sender is ours: it is never closed.
        drop(shown.wait_for(|shown| shown.looked).await);
    }

    /// Without end. Nothing is ordered before the zone answers.
    pub(crate) async fn run(&self, client: Client, serving: &Notify) {
        let shelf = Shelf::new(client, &self.settings.secret);
        let work = async {
            serving.notified().await;
            self.work(&shelf).await;
        };
        tokio::join!(shelf.follow(|look| self.show(look)), work);
    }

    fn show(&self, look: &Look) {
        self.shown.send_modify(|shown| {
            shown.looked = true;
            // What serves stays when the Secret goes.
            if let Look::Found(found) = look {
                shown.challenges.clone_from(&found.state.book.challenges);
                let serving = found.state.serving(&self.wanted).map(|certificate| certificate.parsed.clone());
                shown.certificate = serving.or(shown.certificate.take());
                metrics::gauge!("berth_gateway_acme_failures").set(f64::from(found.state.book.failures));
            }
        });
    }

    async fn work(&self, shelf: &Shelf) {
        let mut look = shelf.look.subscribe();
        let mut asked = false;
        let mut stumbles = 0;
        loop {
            let now = Utc::now();
            let found = match &*look.borrow_and_update() {
                Look::Found(found) => Some(found.clone()),
                Look::Never | Look::Nothing => None,
            };
            let step = found.map(|found| (plan::decide(&found.state, &self.wanted, &self.me, asked, now), *found));
            let done = match step {
                None => {
                    let _never_closed = look.changed().await;
                    continue;
                }
                Some((Step::Wait(until), _)) => {
                    // The clock may be set meanwhile.
                    let pause = until.map_or(LONGEST, |until| (until - now).to_std().unwrap_or_default().min(LONGEST));
                    let _either = tokio::time::timeout(pause, look.changed()).await;
                    continue;
                }
                Some((Step::Ask, found)) => {
                    asked = true;
                    self.ask(shelf, found).await
                }
                Some((Step::Order, found)) => self.order(shelf, found).await,
            };
            match done {
                Ok(()) => stumbles = 0,
                Err(secret::Error::Conflict) => {
                    let _either = tokio::time::timeout(BREATH, look.changed()).await;
                }
                // The authority does not pay for what is wrong between us and the cluster.
                Err(error) => {
                    tracing::warn!(%error, "the certificate's Secret");
                    tokio::time::sleep((BREATH * 2_u32.pow(stumbles)).min(LONGEST)).await;
                    stumbles = (stumbles + 1).min(9);
                }
            }
        }
    }

    async fn order(&self, shelf: &Shelf, mut found: Found) -> Result<(), secret::Error> {
        // Not every directory understands it; a second try goes without.
        let book = &found.state.book;
        let names_old = book.wanted == self.wanted && book.window.is_some() && book.failures == 0;
        let old = found.state.certificate.clone().filter(|_| names_old);
        found.state.claim(&self.wanted, &self.me, Utc::now());
        shelf.write(&mut found).await?;
        tracing::info!(directory = self.wanted.directory, "a certificate is ordered");
        let state = match tokio::time::timeout(ORDER, self.issue(shelf, &mut found, old)).await {
            Ok(Ok(certificate)) => {
                tracing::info!(until = %certificate.validity.until, "there is a new certificate");
                found.state.issued(certificate, Utc::now());
                return shelf.write(&mut found).await;
            }
            Ok(Err(Stopped::Lost(error))) => return Err(error),
            Ok(Err(Stopped::Failed(failure))) => failure,
            Ok(Err(Stopped::Acme(error))) => self.directory.failure(error),
            Err(_elapsed) => {
                let why = "the order took too long".to_owned();
                Failure { why, kind: Kind::NoAnswer, not_before: None }
            }
        };
        self.failed(&mut found.state, state);
        shelf.write(&mut found).await
    }

    async fn issue(&self, shelf: &Shelf, found: &mut Found, old: Option<Certificate>) -> Result<Certificate, Stopped> {
        let (account, new) = self.directory.account(found.state.account.as_ref()).await?;
        if let Some(credentials) = new {
            found.state.account = Some(credentials);
            shelf.write(found).await?;
        }
        let replaces = old.as_ref().and_then(|old| directory::identifier(&old.parsed.cert[0]));
        let wish = Wish { names: &self.wanted.names, replaces, profile: self.settings.profile.as_deref() };
        let publish = async |values| {
            found.state.book.challenges = values;
            shelf.write(found).await?;
            tokio::time::sleep(SPREAD).await;
            Ok::<_, Stopped>(())
        };
        let issued = order::order(&account, wish, publish).await?;
        Certificate::parse(issued.chain, issued.key.into()).map_err(|error| {
            let why = format!("what was issued is no certificate: {error}");
            Stopped::Failed(Failure { why, kind: Kind::Refused, not_before: None })
        })
    }

    fn failed(&self, state: &mut State, failure: Failure) {
        let Failure { why, kind, not_before } = failure;
        let (refused, forgotten) = match kind {
            Kind::NoAnswer => (false, false),
            Kind::Refused => (true, false),
            // Nothing was asked for yet; the next try begins with a new account.
            Kind::NoAccount => (false, true),
        };
        if forgotten {
            state.account = None;
        }
        let retry = |failures| plan::retry(failures, refused, not_before, Utc::now(), rand::rng().random());
        state.failed(why.clone(), retry);
        let again = state.book.retry_at.unwrap_or_default();
        tracing::error!(why, %again, "no certificate by ACME; the old one stays");
    }

    /// Asks the directory when it wants the certificate renewed, for all replicas.
    async fn ask(&self, shelf: &Shelf, mut found: Found) -> Result<(), secret::Error> {
        let now = Utc::now();
        let told = match (&found.state.account, &found.state.certificate) {
            (Some(kept), Some(certificate)) => self.window(kept, certificate).await.map(|told| (told, certificate)),
            _nothing_to_ask_about => return Ok(()),
        };
        let book = &mut found.state.book;
        let before = book.clone();
        match told {
            Ok((Some((window, again)), certificate)) if window.start < window.end => {
                book.ask_at = Some(plan::ask_again(again, now));
                if book.window != Some(window) {
                    let at = plan::renewal_within(window, certificate.validity, rand::rng().random());
                    (book.window, book.renew_at) = (Some(window), Some(at));
                }
            }
            Ok((Some((window, _)), _)) => {
                tracing::warn!(?window, "the directory wants the certificate renewed in a time that does not exist");
                book.ask_at = Some(now + ASK_LATER);
            }
            Ok((None, _)) => book.ask_at = None,
            Err(failure) => {
                tracing::warn!(why = failure.why, "the directory did not say when the certificate is to be renewed");
                book.ask_at = Some(now + ASK_LATER);
            }
        }
        if *book == before {
            return Ok(());
        }
        shelf.write(&mut found).await?;
        if let Some(at) = found.state.book.renew_at {
            tracing::info!(%at, "when the certificate is to be renewed");
        }
        Ok(())
    }

    async fn window(
        &self,
        kept: &SecretString,
        certificate: &Certificate,
    ) -> Result<Option<(Window, TimeDelta)>, Failure> {
        let (account, _) = self.directory.account(Some(kept)).await?;
        self.directory.window(&account, &certificate.parsed.cert[0]).await
    }
}
