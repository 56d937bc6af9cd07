//! Watches of our objects. They wake ids and carry nothing else; a lost or expired watch lists again and wakes all it finds.

use std::fmt::Debug;

use berth_core::id::ContainerId;
use berth_core::names::{LABEL_CONTAINER, LABEL_INSTALLATION};
use berth_route::Route;
use futures::StreamExt;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use crate::queue::Waker;

pub(crate) async fn all(client: Client, installation: String, waker: Waker) {
    tokio::join!(
        one::<Namespace>(&client, &installation, &waker),
        one::<StatefulSet>(&client, &installation, &waker),
        one::<Pod>(&client, &installation, &waker),
        one::<PersistentVolumeClaim>(&client, &installation, &waker),
        one::<NetworkPolicy>(&client, &installation, &waker),
        one::<ResourceQuota>(&client, &installation, &waker),
        one::<Route>(&client, &installation, &waker),
    );
}

async fn one<K>(client: &Client, installation: &str, waker: &Waker)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let ours = watcher::Config::default().labels(&format!("{LABEL_INSTALLATION}={installation}"));
    let mut events = watcher(Api::<PartialObjectMeta<K>>::all(client.clone()), ours).default_backoff().boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => {
                let label = object.labels().get(LABEL_CONTAINER);
                if let Some(id) = label.and_then(|label| label.parse::<ContainerId>().ok()) {
                    waker.wake(id);
                }
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => tracing::debug!(kind = %K::kind(&()), %error, "a watch broke; it starts again"),
        }
    }
}
