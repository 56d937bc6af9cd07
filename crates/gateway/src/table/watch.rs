//! The only reader of Kubernetes in the gateway: routes, and the endpoint slices of their Services. A lost watch lists again;
//! meanwhile the table stands as it was.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use berth_core::names::{self, LABEL_MANAGED_BY, MANAGED_BY, Names, SERVICE};
use berth_route::Route;
use futures::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::{Table, Target};

/// Keeps the table as the cluster is, without end. `listed` is told once, when everything that there was at the start is in it.
pub(crate) async fn follow(client: Client, table: Arc<Table>, listed: Arc<Notify>) {
    let (routes, addresses) = (Notify::new(), Notify::new());
    let ours = watcher::Config::default().labels(&format!("{LABEL_MANAGED_BY}={MANAGED_BY}"));
    // Slices carry the labels of their Service, and this one, which is the slice controller's own.
    let slices = watcher::Config::default().labels(&format!("kubernetes.io/service-name={SERVICE}"));
    tokio::join!(
        each::<Route>(
            &client,
            ours,
            &routes,
            |names, route| {
                match route.map(|route| Target::parse(&names, &table.suffix, route.spec)).transpose() {
                    Ok(target) => table.set_route(names.id, target),
                    Err(error) => tracing::error!(container = %names.id, %error, "a route is not believed"),
                }
            },
            |ids| table.keep_routes(ids)
        ),
        each::<EndpointSlice>(
            &client,
            slices,
            &addresses,
            |names, slice| {
                table.set_address(names.id, slice.as_ref().and_then(address));
            },
            |ids| table.keep_addresses(ids)
        ),
        async {
            tokio::join!(routes.notified(), addresses.notified());
            listed.notify_one();
        },
    );
}

/// `None` is told of an object that is gone.
async fn each<K>(
    client: &Client,
    config: watcher::Config,
    listed: &Notify,
    tell: impl Fn(Names, Option<K>),
    keep: impl Fn(&BTreeSet<berth_core::id::ContainerId>),
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut seen = BTreeSet::new();
    let mut events = watcher(Api::<K>::all(client.clone()), config).default_backoff().boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => seen.clear(),
            Ok(Event::InitApply(object)) => {
                if let Some(names) = names(&object) {
                    seen.insert(names.id);
                    tell(names, Some(object));
                }
            }
            Ok(Event::InitDone) => {
                keep(&seen);
                listed.notify_one();
            }
            Ok(Event::Apply(object)) => names(&object).into_iter().for_each(|names| tell(names, Some(object.clone()))),
            Ok(Event::Delete(object)) => names(&object).into_iter().for_each(|names| tell(names, None)),
            Err(error) => tracing::debug!(kind = %K::kind(&()), %error, "a watch broke; it starts again"),
        }
    }
}

/// What is in a container's namespace speaks of that container and of no other.
fn names(object: &impl ResourceExt) -> Option<Names> {
    names::parse_namespace(&object.namespace()?)
}

/// Of the pod that is there to stay. It need not be ready: the agent answers before main does, and when main does not.
fn address(slice: &EndpointSlice) -> Option<IpAddr> {
    let staying = slice
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.terminating) != Some(true));
    staying.flat_map(|endpoint| &endpoint.addresses).find_map(|address| address.parse().ok())
}
