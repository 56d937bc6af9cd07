//! The Secret in the cluster: followed by a watch, written only over what was read. That is the lock.

use std::time::Duration;

use berth_core::names::SYSTEM_NAMESPACE;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watch_object};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch as cell;

use super::state::State;
use crate::tls::Failed;

/// What was written comes back by the watch within that, or the watch is broken.
const ECHO: Duration = Duration::from_secs(15);

/// One look at it.
#[derive(Clone)]
pub(super) enum Look {
    /// Nothing was heard yet.
    Never,
    /// The API server answered, and there is nothing to be had.
    Nothing,
    Found(Box<Found>),
}

/// The object is kept as it was read: whoever writes over it changes nothing else, and nothing that was written since.
#[derive(Clone)]
pub(super) struct Found {
    object: Secret,
    /// Whose the claim was when it was read.
    holder: Option<String>,
    pub(super) state: State,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("another replica was faster")]
    Conflict,
    #[error("what was written did not come back by the watch")]
    NoEcho,
    #[error(transparent)]
    Malformed(#[from] Failed),
    #[error("the Secret cannot be written: {0}")]
    Kube(kube::Error),
}

pub(super) struct Shelf {
    api: Api<Secret>,
    name: String,
    pub(super) look: cell::Sender<Look>,
}

impl Shelf {
    pub(super) fn new(client: Client, name: &str) -> Self {
        let api = Api::namespaced(client, SYSTEM_NAMESPACE);
        Self { api, name: name.to_owned(), look: cell::Sender::new(Look::Never) }
    }

    /// Without end. While the API server is away, what was seen last stands.
    pub(super) async fn follow(&self, mut tell: impl FnMut(&Look)) {
        let mut events = watch_object(self.api.clone(), &self.name).default_backoff().boxed();
        while let Some(event) = events.next().await {
            let look = match event {
                Ok(Some(object)) => Look::Found(Box::new(self.read(object))),
                Ok(None) => {
                    let name = &self.name;
                    tracing::error!(name, "gateway.acme.secret is not there: deploy/rbac-gateway.yaml makes it");
                    Look::Nothing
                }
                Err(watcher::Error::InitialListFailed(error @ kube::Error::Api(_))) => {
                    tracing::error!(name = self.name, %error, "gateway.acme.secret may not be read");
                    if !matches!(*self.look.borrow(), Look::Never) {
                        continue;
                    }
                    Look::Nothing
                }
                Err(error) => {
                    tracing::debug!(%error, "the watch of the certificate's Secret broke; it starts again");
                    continue;
                }
            };
            tell(&look);
            self.look.send_replace(look);
        }
    }

    fn read(&self, object: Secret) -> Found {
        let state = object.data.as_ref().map(State::read).transpose().unwrap_or_else(|error| {
            tracing::error!(name = self.name, %error, "gateway.acme.secret is not understood and will be filled anew");
            None
        });
        let state: State = state.unwrap_or_default();
        Found { object, holder: holder(&state), state }
    }

    /// Writes what `found` says now, and waits until whoever watches as we do can know it. Fails if another wrote since it was
    /// read; the one who holds the claim is only in the way of people, who change labels.
    pub(super) async fn write(&self, found: &mut Found) -> Result<(), Error> {
        let mut look = self.look.subscribe();
        loop {
            let mut object = found.object.clone();
            object.data = Some(found.state.write()?);
            match self.api.replace(&self.name, &PostParams::default(), &object).await {
                Ok(written) => found.object = written,
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    let newer = echo(&mut look, |newer| newer.resource_version() != found.object.resource_version());
                    let newer = newer.await?;
                    if found.holder.is_none() || newer.holder != found.holder {
                        return Err(Error::Conflict);
                    }
                    found.object = newer.object;
                    continue;
                }
                Err(error) => return Err(Error::Kube(error)),
            }
            found.holder = holder(&found.state);
            let version = found.object.resource_version();
            return echo(&mut look, |seen| seen.resource_version() == version).await.map(drop);
        }
    }
}

fn holder(state: &State) -> Option<String> {
    state.book.claim.as_ref().map(|claim| claim.by.clone())
}

/// What the watch brings, once it is what is waited for.
async fn echo(look: &mut cell::Receiver<Look>, is_it: impl Fn(&Secret) -> bool) -> Result<Found, Error> {
    let seen = look.wait_for(|look| matches!(look, Look::Found(found) if is_it(&found.object)));
    match tokio::time::timeout(ECHO, seen).await {
        Ok(Ok(seen)) => match &*seen {
            Look::Found(found) => Ok(found.as_ref().clone()),
            Look::Never | Look::Nothing => Err(Error::NoEcho),
        },
        Ok(Err(_)) | Err(_) => Err(Error::NoEcho),
    }
}
