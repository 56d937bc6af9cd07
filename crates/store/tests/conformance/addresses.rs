//! Addresses of containers' own, and who is served where: what every store must do.

use std::net::IpAddr;

use berth_core::access::{Actor, Delete, ListContainers, Update};
use berth_core::address::Addresses;
use berth_core::id::ContainerId;
use berth_core::ingress::{NewRule, Protocol, PublicPort, Rule, TargetPort};
use berth_core::quota::Quota;
use berth_store::{Error, Hint};
use chrono::Utc;
use futures::future::join_all;

use crate::cases::{Case, Db, create_at, new, next, user};

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, Case)] = &[$((stringify!($name), |store| Box::pin($name(store)))),*];
    };
}

cases!(
    no_two_containers_of_one_owner_share_an_address,
    raw_tcp_shares_its_place_with_nobody,
    rivals_for_one_place_get_it_once,
    other_addresses_are_settled,
);

fn ip(last: u8) -> IpAddr {
    IpAddr::from([203, 0, 113, last])
}

fn addresses(last: &[u8]) -> Addresses {
    last.iter().copied().map(ip).collect::<Vec<_>>().into()
}

async fn made(store: &Db, actor: &Actor, name: &str, addresses: &Addresses) -> ContainerId {
    let new = new(name);
    create_at(store, actor, &new, None, addresses).await.unwrap();
    new.id
}

/// Of an owner's containers, in the order of their names.
async fn addresses_of(store: &Db, actor: &Actor) -> Vec<Option<IpAddr>> {
    let mut all = store.containers(&actor.may_account::<ListContainers>().unwrap()).await.unwrap();
    all.sort_by(|one, other| one.spec.name.as_str().cmp(other.spec.name.as_str()));
    all.into_iter().map(|container| container.external_ip).collect()
}

async fn open(store: &Db, actor: &Actor, id: ContainerId, port: i64, protocol: Protocol) -> Result<Rule, Error> {
    let (port, target) = (PublicPort::new(port).unwrap(), TargetPort::new(5432).unwrap());
    let rule = NewRule::new(port, target, protocol).unwrap();
    store.add_ingress_rule(&actor.may::<Update>(id).unwrap(), &rule, &Quota::default(), None, Utc::now()).await
}

async fn no_two_containers_of_one_owner_share_an_address(store: Db) {
    let (ann, bob) = (user(&store, "ann").await, user(&store, "bob").await);
    let all = addresses(&[1, 2]);
    let names = ["a", "b", "c"].map(|name| (name, new(name)));
    join_all(names.iter().map(|(_, new)| create_at(&store, &ann, new, None, &all))).await;
    let mut given = addresses_of(&store, &ann).await;
    given.sort_unstable();
    assert_eq!(given, [None, Some(ip(1)), Some(ip(2))], "there is none for a third");
    made(&store, &bob, "a", &all).await;
    assert!(addresses_of(&store, &bob).await[0].is_some(), "another owner's may");
}

async fn raw_tcp_shares_its_place_with_nobody(store: Db) {
    let (ann, bob) = (user(&store, "ann").await, user(&store, "bob").await);
    let all = addresses(&[1]);
    let (of_ann, of_bob) = (made(&store, &ann, "a", &all).await, made(&store, &bob, "b", &all).await);
    let homeless = made(&store, &ann, "z", &Addresses::default()).await;
    assert!(matches!(open(&store, &ann, homeless, 8000, Protocol::Tcp).await, Err(Error::NoAddress)));
    open(&store, &ann, of_ann, 8000, Protocol::Tcp).await.unwrap();
    for protocol in [Protocol::Tcp, Protocol::Http] {
        let refused = open(&store, &bob, of_bob, 8000, protocol).await;
        assert!(matches!(refused, Err(Error::AddressPortTaken { port: 8000, .. })), "{refused:?}");
    }
    // By host name there is room for many, where nobody has it raw.
    open(&store, &bob, of_bob, 8001, Protocol::Http).await.unwrap();
    open(&store, &ann, of_ann, 8001, Protocol::Http).await.unwrap();
    open(&store, &ann, homeless, 8000, Protocol::Http).await.unwrap();
    let refused = open(&store, &bob, of_bob, 8001, Protocol::Tcp).await;
    assert!(matches!(refused, Err(Error::PortTaken)), "{refused:?}");
    open(&store, &bob, of_bob, 8002, Protocol::Http).await.unwrap();
    let refused = open(&store, &ann, of_ann, 8002, Protocol::Tcp).await;
    assert!(matches!(refused, Err(Error::AddressPortTaken { port: 8002, .. })), "{refused:?}");
    // What is deleted holds nothing any more.
    store.delete(&ann.may::<Delete>(of_ann).unwrap(), Utc::now()).await.unwrap();
    open(&store, &bob, of_bob, 8000, Protocol::Tcp).await.unwrap();
}

async fn rivals_for_one_place_get_it_once(store: Db) {
    let all = addresses(&[1]);
    let mut rivals = Vec::new();
    for name in ["ann", "bob", "cat", "dan"] {
        let actor = user(&store, name).await;
        let id = made(&store, &actor, "a", &all).await;
        rivals.push((actor, id));
    }
    let tries = rivals.iter().enumerate().map(|(number, (actor, id))| {
        let protocol = if number % 2 == 0 { Protocol::Tcp } else { Protocol::Http };
        let store = &store;
        async move { open(store, actor, *id, 8000, protocol).await }
    });
    let results = join_all(tries).await;
    let won: Vec<Protocol> = results.iter().flatten().map(|rule| rule.protocol).collect();
    assert!(won == [Protocol::Tcp] || won.iter().all(|protocol| *protocol == Protocol::Http), "{results:?}");
    assert!(!won.is_empty());
}

async fn other_addresses_are_settled(store: Db) {
    let (ann, bob) = (user(&store, "ann").await, user(&store, "bob").await);
    let none = Addresses::default();
    for name in ["a", "b"] {
        made(&store, &ann, name, &none).await;
    }
    let of_bob = made(&store, &bob, "a", &none).await;
    let mut hints = store.hints();
    assert_eq!(store.settle_addresses(&none).await.unwrap(), 0);
    assert_eq!(store.settle_addresses(&addresses(&[1, 2])).await.unwrap(), 3);
    next(&mut hints, Hint::Changed { id: of_bob, owner: bob.user().id }).await;
    assert_eq!(addresses_of(&store, &ann).await, [Some(ip(1)), Some(ip(2))]);
    assert_eq!(store.settle_addresses(&addresses(&[1, 2])).await.unwrap(), 0, "they stay");
    // Raw TCP is kept where it can be.
    let cat = user(&store, "cat").await;
    let of_cat = made(&store, &cat, "a", &addresses(&[3])).await;
    open(&store, &cat, of_cat, 8000, Protocol::Tcp).await.unwrap();
    open(&store, &bob, of_bob, 8000, Protocol::Tcp).await.unwrap();
    store.settle_addresses(&addresses(&[3])).await.unwrap();
    assert_eq!(addresses_of(&store, &cat).await, [Some(ip(3))]);
    assert_eq!(addresses_of(&store, &bob).await, [None], "port 8000 is taken there");
    assert_eq!(addresses_of(&store, &ann).await, [Some(ip(3)), None]);
    assert_eq!(store.settle_addresses(&none).await.unwrap(), 2);
    assert_eq!(addresses_of(&store, &ann).await, [None, None]);
}
