//! What happened to containers.

use berth_core::access::{Actor, Delete, Read, Start, Stop, Update};
use berth_core::id::{ContainerId, Generation};
use berth_core::lifecycle::Observed;
use berth_core::mount::MountPaths;
use berth_core::timeline::{Entry, KEPT, Kind};
use berth_store::{Error, Hint, Told};
use chrono::{DateTime, TimeDelta, Utc};

use crate::cases::{Case, Db, made, next, running, user};

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, Case)] = &[$((stringify!($name), |store| Box::pin($name(store)))),*];
    };
}

cases!(
    entries_are_kept_once,
    what_repeats_is_counted_up,
    parallel_writers_lose_nothing,
    only_the_newest_are_kept,
    a_timeline_is_read_in_pages_by_its_owner,
    what_users_ask_for_is_told,
    a_timeline_goes_with_its_row,
    a_row_remains_until_it_is_removed,
);

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 250_000_000).unwrap() + TimeDelta::seconds(second)
}

fn entry(key: &str, second: i64, count: u32) -> Entry {
    let message = format!("{key} {count}");
    Entry { kind: Kind::BackOff, at: at(second), message, key: key.into(), count }
}

async fn told(store: &Db, actor: &Actor, id: ContainerId) -> Vec<Told> {
    store.timeline(&actor.may::<Read>(id).unwrap(), 0, 500).await.unwrap()
}

async fn kinds(store: &Db, actor: &Actor, id: ContainerId) -> Vec<String> {
    told(store, actor, id).await.into_iter().map(|told| told.kind).collect()
}

async fn entries_are_kept_once(store: Db) {
    let actor = user(&store, "ann").await;
    let (id, owner) = (made(&store, &actor, "a").await, actor.user().id);
    let mut hints = store.hints();
    let entries = [entry("one", 1, 1), entry("two", 2, 1)];
    assert!(store.record_entries(id, &entries).await.unwrap());
    next(&mut hints, Hint::Told { id, owner, since: 1 }).await;
    assert!(!store.record_entries(id, &entries).await.unwrap());
    assert!(!store.record_entries(id, &[]).await.unwrap());
    let later = Entry { at: at(9), message: "other words".into(), ..entry("one", 1, 1) };
    assert!(!store.record_entries(id, &[later]).await.unwrap(), "the same thing, seen again");
    assert!(store.record_entries(id, &[entry("two", 2, 1), entry("three", 3, 1)]).await.unwrap());
    next(&mut hints, Hint::Told { id, owner, since: 3 }).await;
    let all = told(&store, &actor, id).await;
    assert_eq!(all.iter().map(|told| told.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let second = Told { id: 2, revision: 2, kind: "back_off".into(), at: at(1), message: "one 1".into(), count: 1 };
    assert_eq!(all[1], second);
    let absent = "bcdfghjk".parse().unwrap();
    assert!(!store.record_entries(absent, &entries).await.unwrap(), "there is no such container");
}

async fn what_repeats_is_counted_up(store: Db) {
    let actor = user(&store, "ann").await;
    let (id, owner) = (made(&store, &actor, "a").await, actor.user().id);
    store.record_entries(id, &[entry("one", 1, 1), entry("two", 2, 1)]).await.unwrap();
    let mut hints = store.hints();
    assert!(store.record_entries(id, &[entry("one", 5, 4)]).await.unwrap());
    next(&mut hints, Hint::Told { id, owner, since: 3 }).await;
    assert!(!store.record_entries(id, &[entry("one", 3, 3)]).await.unwrap(), "an older count");
    let grant = actor.may::<Read>(id).unwrap();
    let changes = store.timeline_changes(&grant, 3).await.unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].id, changes[0].count, changes[0].at, changes[0].message.as_str()), (2, 4, at(5), "one 4"));
    assert_eq!(told(&store, &actor, id).await[1], changes[0], "it keeps its place");
    assert_eq!(store.timeline_changes(&grant, changes[0].revision).await.unwrap(), []);
    assert_eq!(store.timeline_changes(&grant, 0).await.unwrap().len(), 3);
}

async fn parallel_writers_lose_nothing(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    let writers = (0..8).map(|number| {
        let store = store.clone();
        let entries = [entry("shared", 1, number + 1), entry(&format!("own{number}"), 1, 1)];
        tokio::spawn(async move { store.record_entries(id, &entries).await })
    });
    for done in futures::future::join_all(writers).await {
        assert!(done.unwrap().unwrap(), "each had news");
    }
    let all = told(&store, &actor, id).await;
    assert_eq!(all.len(), 10);
    assert_eq!(all.iter().find(|told| told.message.starts_with("shared")).unwrap().count, 8);
    let mut revisions: Vec<_> = all.iter().map(|told| told.revision).collect();
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 10);
}

async fn only_the_newest_are_kept(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    let many: Vec<_> = (0..KEPT + 20).map(|number| entry(&number.to_string(), number, 1)).collect();
    assert!(store.record_entries(id, &many).await.unwrap());
    let all = told(&store, &actor, id).await;
    assert_eq!(all.len(), 500);
    assert_eq!(all.last().unwrap().message, format!("{} 1", KEPT + 19));
    assert!(!store.record_entries(id, &many).await.unwrap(), "what was pruned does not come back");
    assert!(store.record_entries(id, &[entry("more", KEPT + 20, 1)]).await.unwrap());
    let now = told(&store, &actor, id).await;
    assert_eq!((now.len(), now[0].id), (500, all[1].id));
}

async fn a_timeline_is_read_in_pages_by_its_owner(store: Db) {
    let (ann, ben) = (user(&store, "ann").await, user(&store, "ben").await);
    let id = made(&store, &ann, "a").await;
    let other = made(&store, &ann, "b").await;
    store.record_entries(id, &[entry("one", 1, 1), entry("two", 2, 1), entry("three", 3, 1)]).await.unwrap();
    let grant = ann.may::<Read>(id).unwrap();
    let ids = async |after, limit| -> Vec<i64> {
        store.timeline(&grant, after, limit).await.unwrap().into_iter().map(|told| told.id).collect()
    };
    assert_eq!(ids(0, 2).await, [1, 2]);
    assert_eq!(ids(2, 2).await, [3, 4]);
    assert!(ids(4, 2).await.is_empty() && ids(i64::MAX, 2).await.is_empty());
    assert_eq!(told(&store, &ann, other).await.len(), 1, "each has its own");
    let strange = ben.may::<Read>(id).unwrap();
    assert!(matches!(store.timeline(&strange, 0, 10).await, Err(Error::NotFound)));
    assert_eq!(store.timeline_changes(&strange, 0).await.unwrap(), []);
}

async fn what_users_ask_for_is_told(store: Db) {
    let actor = user(&store, "ann").await;
    let id = made(&store, &actor, "a").await;
    store.start(&actor.may::<Start>(id).unwrap()).await.unwrap();
    let paths = |list: &[&str]| MountPaths::parse(list).unwrap();
    let update = actor.may::<Update>(id).unwrap();
    store.set_mounts(&update, &paths(&["/srv"])).await.unwrap();
    assert_eq!(kinds(&store, &actor, id).await, ["created"], "it was to run already, and no pod ran");
    store.record_observed(id, Generation(2), &running()).await.unwrap();
    store.set_mounts(&update, &paths(&["/root"])).await.unwrap();
    let stopped = store.stop(&actor.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    store.stop(&actor.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    let gone = Observed { pod: None, ..running() };
    let ended = Entry::stopped(&stopped, &gone, at(1)).unwrap();
    assert_eq!(Entry::stopped(&stopped, &running(), at(1)), None);
    store.record_entries(id, std::slice::from_ref(&ended)).await.unwrap();
    let read = store.for_reconcile(id).await.unwrap().unwrap();
    let again = Entry::stopped(&read, &gone, at(2)).unwrap();
    assert_eq!(again.key, ended.key, "a pass that is repeated says the same");
    store.start(&actor.may::<Start>(id).unwrap()).await.unwrap();
    let all = kinds(&store, &actor, id).await;
    assert_eq!(all, ["created", "restart_requested", "stop_requested", "stopped", "start_requested"]);
}

async fn a_timeline_goes_with_its_row(store: Db) {
    let actor = user(&store, "ann").await;
    let (id, owner) = (made(&store, &actor, "a").await, actor.user().id);
    let grant = actor.may::<Read>(id).unwrap();
    store.delete(&actor.may::<Delete>(id).unwrap(), Utc::now()).await.unwrap();
    assert!(matches!(store.timeline(&grant, 0, 10).await, Err(Error::NotFound)));
    let mut hints = store.hints();
    store.remove_row(id).await.unwrap();
    next(&mut hints, Hint::Removed { id, owner }).await;
    assert!(!store.record_entries(id, &[entry("late", 1, 1)]).await.unwrap());
}

async fn a_row_remains_until_it_is_removed(store: Db) {
    let (ann, ben) = (user(&store, "ann").await, user(&store, "ben").await);
    let id = made(&store, &ann, "a").await;
    let (own, strange) = (ann.may::<Read>(id).unwrap(), ben.may::<Read>(id).unwrap());
    assert!(store.remains(&own).await.unwrap().is_some());
    assert!(store.remains(&strange).await.unwrap().is_none());
    store.delete(&ann.may::<Delete>(id).unwrap(), Utc::now()).await.unwrap();
    assert!(store.remains(&own).await.unwrap().is_some_and(|row| row.deleted_at.is_some()));
    store.remove_row(id).await.unwrap();
    assert!(store.remains(&own).await.unwrap().is_none());
}
