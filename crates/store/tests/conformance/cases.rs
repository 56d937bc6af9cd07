//! What every store must do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use berth_core::access::{Actor, CreateContainer, Delete, ListContainers, ManageTokens, Reach, Read, Start, Stop};
use berth_core::address::Addresses;
use berth_core::audit::Origin;
use berth_core::container::Spec;
use berth_core::id::{ContainerId, Generation, KeyId, UserId};
use berth_core::image::ImageRef;
use berth_core::isolation::Isolation;
use berth_core::lifecycle::{Desired, NamespaceState, Observed, Phase, PodFacts, PodStage};
use berth_core::mount::MountPaths;
use berth_core::name::{ContainerName, Username};
use berth_core::pull_policy::PullPolicy;
use berth_core::quota::Quota;
use berth_core::registry::ImageDigest;
use berth_core::size::{MemoryMb, StorageGb};
use berth_store::{
    Created, Error, Hint, Hints, IdempotencyKey, NewApiToken, NewContainer, OutsideUser, Running, SecretHash, Session,
    Store,
};
use chrono::{TimeDelta, Utc};
use futures::StreamExt;
use futures::future::join_all;

pub(crate) type Db = Arc<dyn Store>;
pub(crate) type Case = fn(Db) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, Case)] = &[$((stringify!($name), |store| Box::pin($name(store)))),*];
    };
}

cases!(
    quota_holds_under_parallel_creates,
    idempotency_keys,
    parallel_requests_with_one_key_make_one_container,
    a_stale_writer_loses,
    deleting_hides_at_once,
    another_users_container_is_not_found,
    names_and_ids_are_unique,
    unknown_keys_are_refused,
    intents_count_generations,
    a_namespace_is_claimed_once,
    rows_of_live_containers_cannot_be_removed,
    sessions_and_tokens_end,
    provisioning_is_idempotent,
    hints_within_one_store,
    what_does_not_belong_together_is_refused,
    what_a_cluster_showed_is_remembered,
    how_full_a_disk_is_stays_when_it_stops,
    the_digest_is_what_was_resolved_then_what_ran,
    what_a_key_made_can_be_asked,
);

pub(crate) async fn user(store: &Db, name: &str) -> Actor {
    let name = Username::parse(name).unwrap();
    let user = store.add_local_user(&name, false, "hash", Utc::now()).await.unwrap();
    Actor::authenticated(user, Reach::Login, Origin::local(Utc::now()))
}

pub(crate) fn new(name: &str) -> NewContainer {
    let spec = Spec {
        name: ContainerName::parse(name).unwrap(),
        image: ImageRef::from_stored("registry.example/base:latest".into()),
        pull_policy: PullPolicy::default(),
        instance_type: "nano".into(),
        memory: MemoryMb::DEFAULT,
        storage: StorageGb::DEFAULT,
        mounts: MountPaths::default(),
        ssh_enabled: false,
    };
    NewContainer {
        id: ContainerId::from_random(rand::random()),
        spec,
        keys: vec![],
        image_digest: None,
        created_at: Utc::now(),
    }
}

pub(crate) async fn create(
    store: &Db,
    actor: &Actor,
    new: &NewContainer,
    key: Option<&IdempotencyKey>,
) -> Result<Created, Error> {
    create_at(store, actor, new, key, &Addresses::default()).await
}

/// The same where containers have addresses of their own.
pub(crate) async fn create_at(
    store: &Db,
    actor: &Actor,
    new: &NewContainer,
    key: Option<&IdempotencyKey>,
    addresses: &Addresses,
) -> Result<Created, Error> {
    let grant = actor.may_account::<CreateContainer>().unwrap();
    store.create_container(&grant, new, &Quota::default(), addresses, key).await
}

pub(crate) async fn made(store: &Db, actor: &Actor, name: &str) -> ContainerId {
    let new = new(name);
    create(store, actor, &new, None).await.unwrap();
    new.id
}

/// What is seen of a container whose pod is ready.
pub(crate) fn running() -> Observed {
    let pod = PodFacts {
        stage: PodStage::Ready,
        terminating: false,
        restarts: 0,
        outdated: false,
        last_exit: None,
        image_digest: None,
    };
    Observed { namespace: NamespaceState::Active { uid: "u".into() }, pod: Some(pod), ..Observed::default() }
}

pub(crate) fn key(name: &str, body: u8) -> IdempotencyKey {
    IdempotencyKey { key: name.into(), request: SecretHash([body; 32]) }
}

async fn quota_holds_under_parallel_creates(store: Db) {
    let actor = user(&store, "ann").await;
    let tries = join_all((0..50).map(|number| {
        let (store, actor) = (store.clone(), actor.clone());
        tokio::spawn(async move { create(&store, &actor, &new(&format!("c{number}")), None).await })
    }));
    let done: Vec<_> = tries.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 3);
    assert!(done.iter().all(|one| matches!(one, Ok(_) | Err(Error::Quota(_)))));
    let usage = store.usage(&actor.may_account::<ListContainers>().unwrap()).await.unwrap();
    assert_eq!((usage.containers, usage.memory_mb, usage.storage_gb), (3, 1536, 15));
}

async fn idempotency_keys(store: Db) {
    let actor = user(&store, "ann").await;
    let first = new("a");
    assert!(matches!(create(&store, &actor, &first, Some(&key("k", 1))).await, Ok(Created::New(_))));
    let again = create(&store, &actor, &new("a"), Some(&key("k", 1))).await;
    assert!(matches!(again, Ok(Created::Replayed(row)) if row.id == first.id));
    let other = create(&store, &actor, &new("a"), Some(&key("k", 2))).await;
    assert!(matches!(other, Err(Error::IdempotencyMismatch)));
    let stranger = user(&store, "ben").await;
    assert!(matches!(create(&store, &stranger, &new("a"), Some(&key("k", 2))).await, Ok(Created::New(_))));
}

async fn parallel_requests_with_one_key_make_one_container(store: Db) {
    let actor = user(&store, "ann").await;
    let tries = join_all((0..10).map(|_| {
        let (store, actor) = (store.clone(), actor.clone());
        tokio::spawn(async move { create(&store, &actor, &new("a"), Some(&key("k", 1))).await })
    }));
    let done: Vec<_> = tries.await.into_iter().map(|one| one.unwrap().unwrap()).collect();
    assert_eq!(done.iter().filter(|one| matches!(one, Created::New(_))).count(), 1);
    assert_eq!(store.containers(&actor.may_account::<ListContainers>().unwrap()).await.unwrap().len(), 1);
}

async fn a_stale_writer_loses(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    let seen = Observed { namespace: NamespaceState::Active { uid: "u".into() }, ..Observed::default() };
    store.stop(&actor.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    assert!(!store.record_observed(id, Generation::FIRST, &seen).await.unwrap(), "a stale writer");
    assert!(store.record_observed(id, Generation(2), &seen).await.unwrap());
    assert!(!store.record_observed(id, Generation(2), &seen).await.unwrap(), "an equal write");
    assert_eq!(store.for_reconcile(id).await.unwrap().unwrap().observed, seen);
}

async fn deleting_hides_at_once(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    let grant = actor.may::<Delete>(id).unwrap();
    store.delete(&grant, Utc::now()).await.unwrap();
    assert!(store.containers(&actor.may_account::<ListContainers>().unwrap()).await.unwrap().is_empty());
    assert!(matches!(store.container(&actor.may::<Read>(id).unwrap()).await, Err(Error::NotFound)));
    assert!(matches!(store.delete(&grant, Utc::now()).await, Err(Error::NotFound)));
    assert!(matches!(store.start(&actor.may::<Start>(id).unwrap()).await, Err(Error::NotFound)));
    let row = store.for_reconcile(id).await.unwrap().unwrap();
    assert_eq!((row.desired, row.status.phase), (Desired::Deleted, Phase::Stopped));
    made(&store, &actor, "a").await;
    store.remove_row(id).await.unwrap();
    assert!(store.for_reconcile(id).await.unwrap().is_none());
}

async fn another_users_container_is_not_found(store: Db) {
    let (ann, ben) = (user(&store, "ann").await, user(&store, "ben").await);
    let id = made(&store, &ann, "a").await;
    assert!(matches!(store.container(&ben.may::<Read>(id).unwrap()).await, Err(Error::NotFound)));
    assert!(matches!(store.stop(&ben.may::<Stop>(id).unwrap(), Utc::now()).await, Err(Error::NotFound)));
    assert!(matches!(store.delete(&ben.may::<Delete>(id).unwrap(), Utc::now()).await, Err(Error::NotFound)));
    assert!(store.containers(&ben.may_account::<ListContainers>().unwrap()).await.unwrap().is_empty());
}

async fn names_and_ids_are_unique(store: Db) {
    let (ann, ben) = (user(&store, "ann").await, user(&store, "ben").await);
    let first = new("a");
    create(&store, &ann, &first, None).await.unwrap();
    assert!(matches!(create(&store, &ann, &new("a"), None).await, Err(Error::NameTaken)));
    made(&store, &ben, "a").await;
    let same_id = NewContainer { id: first.id, ..new("b") };
    assert!(matches!(create(&store, &ben, &same_id, None).await, Err(Error::IdTaken)));
    let taken = store.add_local_user(&Username::parse("ann").unwrap(), false, "h", Utc::now()).await;
    assert!(matches!(taken, Err(Error::Conflict { field: "username" })));
}

async fn unknown_keys_are_refused(store: Db) {
    let actor = user(&store, "ann").await;
    let with_key = NewContainer { keys: vec![KeyId(77)], ..new("a") };
    assert!(matches!(create(&store, &actor, &with_key, None).await, Err(Error::UnknownKey(KeyId(77)))));
    assert!(store.all_ids().await.unwrap().is_empty());
}

async fn intents_count_generations(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    let started = store.start(&actor.may::<Start>(id).unwrap()).await.unwrap();
    assert_eq!(started.generation, Generation::FIRST, "it was to run already");
    let stopped = store.stop(&actor.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    assert_eq!((stopped.generation, stopped.status.phase), (Generation(2), Phase::Stopped));
    assert!(stopped.stopped_at.is_some());
    let again = store.stop(&actor.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    assert_eq!(again.generation, Generation(2));
    let back = store.start(&actor.may::<Start>(id).unwrap()).await.unwrap();
    assert_eq!((back.generation, back.status.phase, back.stopped_at), (Generation(3), Phase::Pending, None));
}

async fn a_namespace_is_claimed_once(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    store.claim_namespace(id, "one").await.unwrap();
    store.claim_namespace(id, "one").await.unwrap();
    assert!(matches!(store.claim_namespace(id, "two").await, Err(Error::Stale)));
    store.release_namespace(id, "two").await.unwrap();
    assert!(matches!(store.claim_namespace(id, "two").await, Err(Error::Stale)));
    store.release_namespace(id, "one").await.unwrap();
    store.claim_namespace(id, "two").await.unwrap();
}

async fn rows_of_live_containers_cannot_be_removed(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    assert!(matches!(store.remove_row(id).await, Err(Error::NotFound)));
    assert_eq!(store.installation().await.unwrap(), store.installation().await.unwrap());
    assert_eq!(store.installation().await.unwrap().len(), 16);
}

async fn sessions_and_tokens_end(store: Db) {
    let actor = user(&store, "ann").await;
    let now = Utc::now();
    let hash = SecretHash([1; 32]);
    let session =
        Session { hash: hash.clone(), user: actor.user().id, created_at: now, expires_at: now + TimeDelta::hours(1) };
    store.add_session(actor.by(), &session).await.unwrap();
    assert!(store.session(&hash, now).await.unwrap().is_some());
    assert!(store.session(&hash, now + TimeDelta::hours(2)).await.unwrap().is_none());
    store.end_session(actor.by(), &hash).await.unwrap();
    assert!(store.session(&hash, now).await.unwrap().is_none());

    let grant = actor.may_account::<ManageTokens>().unwrap();
    let token =
        NewApiToken { name: "t".into(), hash: SecretHash([2; 32]), scopes: None, created_at: now, expires_at: None };
    let added = store.add_api_token(&grant, &token).await.unwrap();
    let twin = NewApiToken { hash: SecretHash([3; 32]), ..token.clone() };
    assert!(matches!(store.add_api_token(&grant, &twin).await, Err(Error::Conflict { field: "name" })));
    let stranger = user(&store, "ben").await;
    let foreign = stranger.may_account::<ManageTokens>().unwrap();
    assert!(matches!(store.revoke_api_token(&foreign, added.id, now).await, Err(Error::NotFound)));
    store.revoke_api_token(&grant, added.id, now).await.unwrap();
    assert!(store.api_tokens(&grant).await.unwrap().is_empty());
    assert!(store.credential(&token.hash).await.unwrap().unwrap().token.revoked_at.is_some());
}

async fn provisioning_is_idempotent(store: Db) {
    let name = Username::parse("ann").unwrap();
    user(&store, "ann").await;
    let tries = join_all((0..10).map(|_| {
        let (store, name) = (store.clone(), name.clone());
        tokio::spawn(async move {
            let seen = OutsideUser { subject: "jwt:7", id: Some(UserId(7)), username: &name, is_admin: None };
            store.provision_user(seen, &Origin::local(Utc::now())).await
        })
    }));
    for one in tries.await {
        let user = one.unwrap().unwrap();
        assert_eq!((user.id, user.username.as_str()), (UserId(7), "ann-2"));
    }
    let local = user(&store, "zoe").await;
    assert!(local.user().id.0 >= 1_000_000, "local accounts stay clear of numbers that claims name");
}

/// Foreign keys hold: nothing belongs to a user who is not there.
async fn what_does_not_belong_together_is_refused(store: Db) {
    let now = Utc::now();
    let nobody = UserId(4_000_000);
    let session = Session { hash: SecretHash([7; 32]), user: nobody, created_at: now, expires_at: now };
    assert!(store.add_session(user(&store, "ann").await.by(), &session).await.is_err());
    let token =
        NewApiToken { name: "t".into(), hash: SecretHash([8; 32]), scopes: None, created_at: now, expires_at: None };
    assert!(store.add_operator_token(nobody, &token).await.is_err());
}

async fn what_a_cluster_showed_is_remembered(store: Db) {
    assert_eq!(store.isolation("a").await.unwrap(), None);
    for (policies_enforced, user_namespaces) in [(true, false), (true, true), (false, true)] {
        let shown = Isolation { policies_enforced, user_namespaces };
        store.record_isolation("a", shown, Utc::now()).await.unwrap();
        assert_eq!(store.isolation("a").await.unwrap(), Some(shown));
    }
    assert_eq!(store.isolation("b").await.unwrap(), None, "another cluster has shown nothing");
}

async fn how_full_a_disk_is_stays_when_it_stops(store: Db) {
    let actor = user(&store, "ann").await;
    let (id, other) = (made(&store, &actor, "a").await, made(&store, &actor, "b").await);
    assert!(store.running().await.unwrap().is_empty(), "none runs yet");
    let seen = Observed { pod: running().pod, ..Observed::default() };
    assert!(store.record_observed(id, Generation::FIRST, &seen).await.unwrap());
    let expected = Running { id, owner: actor.user().id, storage: StorageGb::DEFAULT };
    assert_eq!(store.running().await.unwrap(), [expected]);
    assert_eq!(store.for_reconcile(id).await.unwrap().unwrap().disk_used, None);
    let used = 3 << 40;
    store.record_disk(&[(id, 1), (id, used)]).await.unwrap();
    store.stop(&actor.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    assert!(store.record_observed(id, Generation(2), &Observed::default()).await.unwrap());
    let row = store.for_reconcile(id).await.unwrap().unwrap();
    assert_eq!((row.disk_used, row.status.phase), (Some(used), Phase::Stopped));
    assert_eq!(store.for_reconcile(other).await.unwrap().unwrap().disk_used, None);
    assert!(store.running().await.unwrap().is_empty());
}

async fn the_digest_is_what_was_resolved_then_what_ran(store: Db) {
    let actor = user(&store, "ann").await;
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse::<ImageDigest>().unwrap();
    let new = NewContainer { image_digest: Some(digest("1")), ..new("a") };
    create(&store, &actor, &new, None).await.unwrap();
    let shown = async || store.container(&actor.may::<Read>(new.id).unwrap()).await.unwrap().image_digest;
    assert_eq!(shown().await, Some(digest("1")));
    let other = made(&store, &actor, "b").await;
    assert_eq!(store.for_reconcile(other).await.unwrap().unwrap().image_digest, None);
    for (stage, ran, expected) in [
        (PodStage::Starting, None, "1"),
        (PodStage::Ready, Some(digest("2")), "2"),
        // The next pod has not got so far.
        (PodStage::Starting, None, "2"),
    ] {
        let pod =
            PodFacts { stage, terminating: false, restarts: 0, outdated: false, last_exit: None, image_digest: ran };
        let seen = Observed { pod: Some(pod), ..Observed::default() };
        assert!(store.record_observed(new.id, Generation::FIRST, &seen).await.unwrap());
        assert_eq!(shown().await, Some(digest(expected)));
    }
}

async fn what_a_key_made_can_be_asked(store: Db) {
    let actor = user(&store, "ann").await;
    let key = |key: &str, request| IdempotencyKey { key: key.to_owned(), request: SecretHash([request; 32]) };
    let replayed = async |key: IdempotencyKey| {
        store.replayed(&actor.may_account::<CreateContainer>().unwrap(), &key).await.map(|row| row.map(|row| row.id))
    };
    let first = new("a");
    create(&store, &actor, &first, Some(&key("k", 1))).await.unwrap();
    assert_eq!(replayed(key("k", 1)).await.unwrap(), Some(first.id));
    assert_eq!(replayed(key("l", 1)).await.unwrap(), None);
    assert!(matches!(replayed(key("k", 2)).await, Err(Error::IdempotencyMismatch)));
}

async fn hints_within_one_store(store: Db) {
    hints_of(store.clone(), store).await;
}

pub(crate) async fn next(hints: &mut Hints, wanted: Hint) {
    let found = async { while hints.next().await.expect("hints do not end") != wanted {} };
    let waited = tokio::time::timeout(Duration::from_secs(20), found).await;
    waited.unwrap_or_else(|_| panic!("gave up waiting for {wanted:?}"));
}

pub(crate) async fn hints_of(writer: Db, reader: Db) {
    let mut hints = reader.hints();
    let actor = user(&writer, "ann").await;
    let owner = actor.user().id;
    let id = made(&writer, &actor, "a").await;
    next(&mut hints, Hint::Listed { id, owner }).await;
    writer.stop(&actor.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    next(&mut hints, Hint::Changed { id, owner }).await;
    writer.delete(&actor.may::<Delete>(id).unwrap(), Utc::now()).await.unwrap();
    next(&mut hints, Hint::Listed { id, owner }).await;
}
