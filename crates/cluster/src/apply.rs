//! The only module that writes to the cluster. Everything is safe to repeat.

use std::time::Duration;

use berth_core::container::Container;
use berth_core::lifecycle::VolumeState;
use berth_core::names::{FIELD_MANAGER, Names, POD, VOLUME_CLAIM, WORKLOAD};
use berth_route::Route;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use crate::build::{Object, Objects};
use crate::pull_secret::PullSecret;
use crate::{Error, Result, observe};

/// A quota that was just made refuses everything until the cluster has counted it: a fraction of a second.
const QUOTA_SETTLES: Duration = Duration::from_millis(50);
const QUOTA_TRIES: usize = 100;

/// Makes the namespace and returns its UID. One that is there already is an error: whose it is must be seen first.
pub(crate) async fn create_namespace(client: &Client, objects: &Objects) -> Result<String> {
    let namespace: Namespace = serde_json::from_value(objects.namespace.clone())?;
    let made = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    made.metadata.uid.ok_or_else(|| Error::Refused("a namespace without a UID".to_owned()))
}

/// What stands before anything runs, all at once. A disk that is there stays as it was made:
/// the cluster refuses every change of a claim, and a new `storage_class` in the configuration would block old containers.
pub(crate) async fn fences(client: &Client, names: &Names, objects: &Objects, volume: &VolumeState) -> Result<()> {
    let namespace = names.namespace();
    let made = |object: &Object| *volume != VolumeState::Absent && object.name == VOLUME_CLAIM;
    let pull_secret = objects.pull_secret.as_ref().map(PullSecret::exposed);
    let fences = objects.fences.iter().filter(|object| !made(object)).chain(&pull_secret);
    try_join_all(fences.map(|object| one(client, &namespace, object))).await.map(drop)
}

/// Only when every fence stands.
pub(crate) async fn workload(client: &Client, names: &Names, objects: &Objects) -> Result<()> {
    let namespace = names.namespace();
    match one(client, &namespace, &objects.workload).await {
        // One that an earlier version made holds settings of the strategy it had then, which no apply takes away.
        Err(Error::Kube(kube::Error::Api(status)))
            if status.code == 422 && status.message.contains("updateStrategy") =>
        {
            let strategy = json!({ "spec": { "updateStrategy": { "type": "OnDelete", "rollingUpdate": null } } });
            let sets = Api::<StatefulSet>::namespaced(client.clone(), &namespace);
            sets.patch(WORKLOAD, &PatchParams::default(), &Patch::Merge(&strategy)).await?;
            one(client, &namespace, &objects.workload).await
        }
        done => done,
    }
}

/// Last.
pub(crate) async fn route(client: &Client, names: &Names, objects: &Objects) -> Result<()> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match routes(client, names).patch(names.id.as_str(), &params, &Patch::Apply(&objects.route)).await {
        Ok(_) => Ok(()),
        // The namespace is there, so it is the definition that is not.
        Err(kube::Error::Api(status)) if status.code == 404 => Err(Error::NoRoutes),
        Err(error) => Err(error.into()),
    }
}

fn routes(client: &Client, names: &Names) -> Api<Route> {
    Api::namespaced(client.clone(), &names.namespace())
}

/// Nobody is led to the container any more.
pub(crate) async fn remove_route(client: &Client, names: &Names) -> Result<()> {
    gone(routes(client, names).delete(names.id.as_str(), &DeleteParams::default()).await.map(drop))
}

/// Deletes the pod if it is still one that a fresh one should replace; the StatefulSet makes that.
pub(crate) async fn replace_pod(client: &Client, row: &Container) -> Result<()> {
    let pods = Api::<Pod>::namespaced(client.clone(), &row.names().namespace());
    let Some(pod) = pods.get_opt(POD).await?.filter(|pod| observe::is_outdated(pod, row)) else { return Ok(()) };
    let only = Preconditions { uid: pod.metadata.uid, resource_version: None };
    let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
    gone(pods.delete(POD, &params).await.map(drop))
}

async fn one(client: &Client, namespace: &str, object: &Object) -> Result<()> {
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &object.resource);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    for _ in 0..QUOTA_TRIES {
        match api.patch(object.name, &params, &Patch::Apply(&object.body)).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if is_quota_settling(&status.message) => {
                tokio::time::sleep(QUOTA_SETTLES).await
            }
            Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains("exceeded quota") => {
                return Err(Error::Refused(status.message.clone()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Deadline("the namespace's quota to be counted"))
}

pub(crate) fn is_quota_settling(message: &str) -> bool {
    message.contains("status unknown for quota")
}

/// Deletes the StatefulSet and its pod; a pod whose node is gone is forced out once its grace is over.
pub(crate) async fn remove_workload(client: &Client, names: &Names) -> Result<()> {
    let namespace = names.namespace();
    let sets = Api::<StatefulSet>::namespaced(client.clone(), &namespace);
    gone(sets.delete(WORKLOAD, &DeleteParams::background()).await.map(drop))?;
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    gone(pods.delete(POD, &DeleteParams::default().grace_period(2)).await.map(drop))
}

/// Takes the pod's object away without waiting for a node that does not answer.
pub(crate) async fn force_pod(client: &Client, names: &Names) -> Result<()> {
    let pods = Api::<Pod>::namespaced(client.clone(), &names.namespace());
    gone(pods.delete(POD, &DeleteParams::default().grace_period(0)).await.map(drop))
}

/// Deletes the namespace with this UID and no other of the same name.
pub(crate) async fn remove_namespace(client: &Client, name: &str, uid: &str) -> Result<()> {
    let only = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(only), ..DeleteParams::background() };
    gone(Api::<Namespace>::all(client.clone()).delete(name, &params).await.map(drop))
}

/// What is gone already was deleted.
fn gone(done: std::result::Result<(), kube::Error>) -> Result<()> {
    match done {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => Ok(other?),
    }
}
