//! Keys, rules, SSH and settings: what every store must do.

use berth_core::access::{Actor, CreateKey, DeleteKey, ListContainers, ListKeys, Read, Start, Stop, Update};
use berth_core::id::{ContainerId, Generation, KeyId};
use berth_core::ingress::{NewRule, Protocol, PublicPort, Rule, TargetPort};
use berth_core::key::{PublicKey, SshKey};
use berth_core::lifecycle::{Phase, Transition};
use berth_core::mount::MountPaths;
use berth_core::pull_policy::PullPolicy;
use berth_core::quota::Quota;
use berth_store::{Error, Hint, IdempotencyKey, NewContainer, NewSshKey, SshAccess};
use chrono::Utc;
use futures::future::join_all;

use crate::cases::{Case, Db, create, key, made, new, next, running, user};

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, Case)] = &[$((stringify!($name), |store| Box::pin($name(store)))),*];
    };
}

cases!(
    a_key_is_unique_per_user,
    the_key_quota_holds_in_parallel,
    a_deleted_key_leaves_its_containers,
    rules_are_unique_and_443_is_https,
    the_rule_quota_counts_over_containers_in_parallel,
    another_users_exposure_is_not_found,
    ssh_takes_all_keys_where_none_was_named,
    ssh_takes_the_named_keys,
    changed_mounts_ask_for_a_fresh_pod,
    a_pull_policy_asks_for_nothing,
    a_start_asks_for_a_fresh_pod,
    a_repeated_request_makes_nothing_new,
);

fn public(number: u8) -> NewSshKey {
    let key = PublicKey::from_stored(format!("ssh-ed25519 AAAA{number} x"), format!("SHA256:{number}"));
    NewSshKey { name: format!("key {number}"), key, created_at: Utc::now() }
}

async fn add(store: &Db, actor: &Actor, number: u8) -> Result<SshKey, Error> {
    store.add_ssh_key(&actor.may_account::<CreateKey>().unwrap(), &public(number), &Quota::default(), None).await
}

async fn listed(store: &Db, actor: &Actor) -> Vec<KeyId> {
    let keys = store.ssh_keys(&actor.may_account::<ListKeys>().unwrap()).await.unwrap();
    keys.into_iter().map(|key| key.id).collect()
}

fn rule(port: i64, target: i64) -> NewRule {
    let (port, target) = (PublicPort::new(port).unwrap(), TargetPort::new(target).unwrap());
    NewRule { port, target, protocol: Protocol::Http }
}

async fn open(store: &Db, actor: &Actor, id: ContainerId, port: i64) -> Result<Rule, Error> {
    let grant = actor.may::<Update>(id).unwrap();
    store.add_ingress_rule(&grant, &rule(port, port), &Quota::default(), None, Utc::now()).await
}

async fn generation(store: &Db, id: ContainerId) -> i64 {
    store.for_reconcile(id).await.unwrap().unwrap().generation.0
}

async fn a_key_is_unique_per_user(store: Db) {
    let (ann, ben) = (user(&store, "ann").await, user(&store, "ben").await);
    let first = add(&store, &ann, 1).await.unwrap();
    assert_eq!((first.name.as_str(), first.key.fingerprint()), ("key 1", "SHA256:1"));
    let renamed = NewSshKey { name: "other".into(), ..public(1) };
    let grant = ann.may_account::<CreateKey>().unwrap();
    assert!(matches!(store.add_ssh_key(&grant, &renamed, &Quota::default(), None).await, Err(Error::KeyExists)));
    // Even where the quota is used up, the reason is the better one.
    let none = Quota { ssh_keys: 0, ..Quota::default() };
    assert!(matches!(store.add_ssh_key(&grant, &renamed, &none, None).await, Err(Error::KeyExists)));
    let second = add(&store, &ann, 2).await.unwrap();
    let others = add(&store, &ben, 1).await.unwrap();
    assert_eq!(listed(&store, &ann).await, [second.id, first.id], "newest first");
    assert_eq!(listed(&store, &ben).await, [others.id]);
    let foreign = store.delete_ssh_key(&ben.may_account::<DeleteKey>().unwrap(), first.id).await;
    assert!(matches!(foreign, Err(Error::NotFound)));
    store.delete_ssh_key(&ann.may_account::<DeleteKey>().unwrap(), first.id).await.unwrap();
    let again = store.delete_ssh_key(&ann.may_account::<DeleteKey>().unwrap(), first.id).await;
    assert!(matches!(again, Err(Error::NotFound)));
    add(&store, &ann, 1).await.unwrap();
}

async fn the_key_quota_holds_in_parallel(store: Db) {
    let actor = user(&store, "ann").await;
    let tries = join_all((0..30).map(|number| {
        let (store, actor) = (store.clone(), actor.clone());
        tokio::spawn(async move { add(&store, &actor, number).await })
    }));
    let done: Vec<_> = tries.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 10);
    assert!(done.iter().all(|one| matches!(one, Ok(_) | Err(Error::Quota(_)))));
    let usage = store.usage(&actor.may_account::<ListContainers>().unwrap()).await.unwrap();
    assert_eq!(usage.ssh_keys, 10);
}

async fn a_deleted_key_leaves_its_containers(store: Db) {
    let actor = user(&store, "ann").await;
    let (one, two) = (add(&store, &actor, 1).await.unwrap().id, add(&store, &actor, 2).await.unwrap().id);
    let with = |name, keys: &[KeyId]| NewContainer { keys: keys.to_vec(), ..new(name) };
    let (uses, other) = (with("uses", &[one, two]), with("other", &[two]));
    for container in [&uses, &other] {
        create(&store, &actor, container, None).await.unwrap();
    }
    let mut hints = store.hints();
    store.delete_ssh_key(&actor.may_account::<DeleteKey>().unwrap(), one).await.unwrap();
    next(&mut hints, Hint::Changed { id: uses.id, owner: actor.user().id }).await;
    assert_eq!((generation(&store, uses.id).await, generation(&store, other.id).await), (2, 1));
    let left = store.exposure(uses.id).await.unwrap().keys;
    assert_eq!(left.iter().map(|key| key.id).collect::<Vec<_>>(), [two]);
    assert_eq!(left[0].key.line(), "ssh-ed25519 AAAA2 x");
    let unknown = create(&store, &actor, &with("late", &[one]), None).await;
    assert!(matches!(unknown, Err(Error::UnknownKey(key)) if key == one));
}

async fn rules_are_unique_and_443_is_https(store: Db) {
    let actor = user(&store, "ann").await;
    let (id, other) = (made(&store, &actor, "a").await, made(&store, &actor, "b").await);
    let https = async |id| store.container(&actor.may::<Read>(id).unwrap()).await.unwrap().https_enabled;
    let grant = actor.may::<Update>(id).unwrap();
    let mut hints = store.hints();
    let made = store.add_ingress_rule(&grant, &rule(8080, 3000), &Quota::default(), None, Utc::now()).await.unwrap();
    next(&mut hints, Hint::Changed { id, owner: actor.user().id }).await;
    assert_eq!((made.port.get(), made.target.get(), made.protocol), (8080, 3000, Protocol::Http));
    assert!(matches!(open(&store, &actor, id, 8080).await, Err(Error::PortTaken)));
    open(&store, &actor, other, 8080).await.unwrap();
    assert!(!https(id).await);
    open(&store, &actor, id, 443).await.unwrap();
    assert!(https(id).await && !https(other).await);
    let ports = async || {
        let rules = store.ingress_rules(&actor.may::<Read>(id).unwrap()).await.unwrap();
        rules.iter().map(|rule| rule.port.get()).collect::<Vec<_>>()
    };
    assert_eq!(ports().await, [443, 8080], "by port");
    store.delete_ingress_rule(&grant, PublicPort::new(8080).unwrap()).await.unwrap();
    assert!(https(id).await, "another port's rule leaves it");
    store.delete_ingress_rule(&grant, PublicPort::HTTPS).await.unwrap();
    assert!(!https(id).await);
    assert!(matches!(store.delete_ingress_rule(&grant, PublicPort::HTTPS).await, Err(Error::NotFound)));
    assert!(ports().await.is_empty());
    assert_eq!(generation(&store, id).await, 5, "each change counts, a refused one does not");
    assert_eq!(store.exposure(other).await.unwrap().targets(), [8080]);
}

async fn the_rule_quota_counts_over_containers_in_parallel(store: Db) {
    let actor = user(&store, "ann").await;
    let ids = [made(&store, &actor, "a").await, made(&store, &actor, "b").await];
    let tries = join_all((0..40).map(|number| {
        let (store, actor, id) = (store.clone(), actor.clone(), ids[number % 2]);
        tokio::spawn(async move {
            let quota = Quota { ingress_rules: 7, ..Quota::default() };
            let port = 8000 + i64::try_from(number).unwrap();
            store.add_ingress_rule(&actor.may::<Update>(id).unwrap(), &rule(port, 80), &quota, None, Utc::now()).await
        })
    }));
    let done: Vec<_> = tries.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 7);
    assert!(done.iter().all(|one| matches!(one, Ok(_) | Err(Error::Quota(_)))));
}

async fn another_users_exposure_is_not_found(store: Db) {
    let (ann, ben) = (user(&store, "ann").await, user(&store, "ben").await);
    let id = made(&store, &ann, "a").await;
    open(&store, &ann, id, 80).await.unwrap();
    add(&store, &ben, 1).await.unwrap();
    let (read, update) = (ben.may::<Read>(id).unwrap(), ben.may::<Update>(id).unwrap());
    assert!(matches!(store.ingress_rules(&read).await, Err(Error::NotFound)));
    assert!(matches!(open(&store, &ben, id, 8080).await, Err(Error::NotFound)));
    let port = PublicPort::new(80).unwrap();
    assert!(matches!(store.delete_ingress_rule(&update, port).await, Err(Error::NotFound)));
    assert!(matches!(store.ssh(&read).await, Err(Error::NotFound)));
    assert!(matches!(store.set_ssh(&update, true, None).await, Err(Error::NotFound)));
    assert!(matches!(store.set_mounts(&update, &MountPaths::default()).await, Err(Error::NotFound)));
    assert!(matches!(store.set_pull_policy(&update, PullPolicy::Always).await, Err(Error::NotFound)));
    assert_eq!(generation(&store, id).await, 2);
}

async fn ssh_takes_all_keys_where_none_was_named(store: Db) {
    let (actor, ben) = (user(&store, "ann").await, user(&store, "ben").await);
    let id = made(&store, &actor, "a").await;
    add(&store, &ben, 9).await.unwrap();
    let grant = actor.may::<Update>(id).unwrap();
    assert!(matches!(store.set_ssh(&grant, true, None).await, Err(Error::NoKeys)));
    assert_eq!(generation(&store, id).await, 1);
    let (one, two) = (add(&store, &actor, 1).await.unwrap().id, add(&store, &actor, 2).await.unwrap().id);
    let on = SshAccess { enabled: true, keys: vec![one, two] };
    assert_eq!(store.set_ssh(&grant, true, None).await.unwrap(), on);
    assert_eq!(store.ssh(&actor.may::<Read>(id).unwrap()).await.unwrap(), on);
    assert_eq!(store.exposure(id).await.unwrap().keys.len(), 2);
    add(&store, &actor, 3).await.unwrap();
    assert_eq!(store.set_ssh(&grant, true, None).await.unwrap(), on, "its own keys stay its keys");
    assert_eq!(generation(&store, id).await, 2, "as it was: nothing counted");
    assert_eq!(store.set_ssh(&grant, false, None).await.unwrap(), SshAccess { enabled: false, ..on });
    let row = store.for_reconcile(id).await.unwrap().unwrap();
    assert_eq!((row.generation, row.restart_generation, row.spec.ssh_enabled), (Generation(3), Generation(1), false));
}

async fn ssh_takes_the_named_keys(store: Db) {
    let (actor, ben) = (user(&store, "ann").await, user(&store, "ben").await);
    let id = made(&store, &actor, "a").await;
    let (one, two) = (add(&store, &actor, 1).await.unwrap().id, add(&store, &actor, 2).await.unwrap().id);
    let foreign = add(&store, &ben, 3).await.unwrap().id;
    let grant = actor.may::<Update>(id).unwrap();
    let unknown = store.set_ssh(&grant, true, Some(&[one, foreign])).await;
    assert!(matches!(unknown, Err(Error::UnknownKey(key)) if key == foreign));
    assert!(matches!(store.set_ssh(&grant, true, Some(&[])).await, Err(Error::NoKeys)));
    let set = store.set_ssh(&grant, true, Some(&[two, two])).await.unwrap();
    assert_eq!(set.keys, [two]);
    assert_eq!(store.set_ssh(&grant, false, Some(&[])).await.unwrap(), SshAccess { enabled: false, keys: vec![] });
    assert_eq!(generation(&store, id).await, 3);
}

async fn changed_mounts_ask_for_a_fresh_pod(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    let grant = actor.may::<Update>(id).unwrap();
    let paths = |list: &[&str]| MountPaths::parse(list).unwrap();
    let early = store.set_mounts(&grant, &paths(&["/root", "/srv"])).await.unwrap();
    assert!(!early.restarted, "nothing runs yet");
    store.record_observed(id, Generation(2), &running()).await.unwrap();
    let same = store.set_mounts(&grant, &paths(&["/srv", "/root"])).await.unwrap();
    assert!(!same.restarted);
    assert_eq!(generation(&store, id).await, 2);
    let changed = store.set_mounts(&grant, &paths(&["/data"])).await.unwrap();
    assert_eq!((changed.restarted, &changed.mounts), (true, &paths(&["/data"])));
    let row = store.container(&actor.may::<Read>(id).unwrap()).await.unwrap();
    assert_eq!((row.status.phase, row.status.transition), (Phase::Pending, Some(Transition::Restarting)));
    assert_eq!((row.generation, row.restart_generation), (Generation(3), Generation(3)));
    store.stop(&actor.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    assert!(!store.set_mounts(&grant, &paths(&["/root"])).await.unwrap().restarted, "it is to be stopped");
}

async fn a_pull_policy_asks_for_nothing(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    store.record_observed(id, Generation(1), &running()).await.unwrap();
    let grant = actor.may::<Update>(id).unwrap();
    let row = store.set_pull_policy(&grant, PullPolicy::Always).await.unwrap();
    assert_eq!((row.spec.pull_policy, row.status.phase), (PullPolicy::Always, Phase::Running));
    assert_eq!((row.generation, row.restart_generation), (Generation(2), Generation(1)));
    assert_eq!(store.set_pull_policy(&grant, PullPolicy::Always).await.unwrap().generation, Generation(2));
}

async fn a_start_asks_for_a_fresh_pod(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    store.record_observed(id, Generation(1), &running()).await.unwrap();
    let stopped = store.stop(&actor.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    assert_eq!(stopped.restart_generation, Generation(1));
    // Nobody has acted on the stop yet: the old pod is still there.
    let started = store.start(&actor.may::<Start>(id).unwrap()).await.unwrap();
    assert_eq!((started.generation, started.restart_generation), (Generation(3), Generation(3)));
    assert_eq!((started.status.phase, started.status.transition), (Phase::Pending, Some(Transition::Restarting)));
}

async fn a_repeated_request_makes_nothing_new(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    let grant = actor.may_account::<CreateKey>().unwrap();
    let quota = Quota::default();
    let add =
        async |number: u8, key: &IdempotencyKey| store.add_ssh_key(&grant, &public(number), &quota, Some(key)).await;
    let first = add(1, &key("k", 1)).await.unwrap();
    assert_eq!(add(1, &key("k", 1)).await.unwrap().id, first.id);
    assert!(matches!(add(2, &key("k", 2)).await, Err(Error::IdempotencyMismatch)));
    assert_eq!(listed(&store, &actor).await, [first.id]);

    let grant = actor.may::<Update>(id).unwrap();
    let open = async |key: &IdempotencyKey| {
        store.add_ingress_rule(&grant, &rule(8080, 3000), &quota, Some(key), Utc::now()).await
    };
    let first = open(&key("r", 1)).await.unwrap();
    let generation_then = generation(&store, id).await;
    assert_eq!(open(&key("r", 1)).await.unwrap().id, first.id);
    assert_eq!(generation(&store, id).await, generation_then);
    assert!(matches!(open(&key("r", 2)).await, Err(Error::IdempotencyMismatch)));
    // One key is one request, whatever it made.
    assert!(matches!(open(&key("k", 3)).await, Err(Error::IdempotencyMismatch)));
    store.delete_ingress_rule(&grant, first.port).await.unwrap();
    assert!(matches!(open(&key("r", 1)).await, Err(Error::NotFound)), "what it made is gone");
}
