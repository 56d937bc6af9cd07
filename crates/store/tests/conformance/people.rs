//! Suspension and the audit log.

use berth_core::access::{Actor, Administer, ListContainers, ManageTokens, Reach, Start, Stop};
use berth_core::audit::{Action, Origin};
use berth_core::connection::{Connection, ConnectionId, Spoken};
use berth_core::id::UserId;
use berth_core::lifecycle::{Desired, Phase};
use berth_core::name::Username;
use berth_core::user::Source;
use berth_store::{Audit, AuditFilter, AuditLine, Error, Hint, NewApiToken, OutsideUser, SecretHash, Session};
use chrono::{TimeDelta, Utc};

use crate::cases::{Case, Db, create, made, new, next, user};

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, Case)] = &[$((stringify!($name), |store| Box::pin($name(store)))),*];
    };
}

cases!(
    a_suspended_user_is_stopped_and_locked_out,
    a_suspension_and_a_request_that_was_let_in_before_it,
    outside_users_are_suspended_and_promoted,
    every_change_writes_its_line_with_it,
    the_audit_log_is_read_in_pages,
    the_audit_log_is_filtered,
    a_connection_that_is_reported_twice_is_kept_once,
);

async fn admin(store: &Db) -> Actor {
    let name = Username::parse("root").unwrap();
    let user = store.add_local_user(&name, true, "hash", Utc::now()).await.unwrap();
    let origin = Origin { address: Some([192, 0, 2, 1].into()), ..Origin::local(Utc::now()) };
    Actor::authenticated(user, Reach::Login, origin)
}

fn session(actor: &Actor, byte: u8) -> Session {
    let now = Utc::now();
    let user = actor.user().id;
    Session { hash: SecretHash([byte; 32]), user, created_at: now, expires_at: now + TimeDelta::hours(1) }
}

fn token(byte: u8) -> NewApiToken {
    let (name, hash) = (format!("t{byte}"), SecretHash([byte; 32]));
    NewApiToken { name, hash, scopes: None, created_at: Utc::now(), expires_at: None }
}

async fn lines(store: &Db, admin: &Actor, filter: &AuditFilter) -> Vec<AuditLine> {
    store.audit_lines(&admin.may_account::<Administer>().unwrap(), filter, 500).await.unwrap()
}

async fn actions(store: &Db, admin: &Actor, filter: &AuditFilter) -> Vec<String> {
    lines(store, admin, filter).await.into_iter().map(|line| line.action).collect()
}

async fn a_suspended_user_is_stopped_and_locked_out(store: Db) {
    let (root, ann) = (admin(&store).await, user(&store, "ann").await);
    let grant = root.may_account::<Administer>().unwrap();
    let (one, two) = (made(&store, &ann, "one").await, made(&store, &ann, "two").await);
    store.stop(&ann.may::<Stop>(two).unwrap(), Utc::now()).await.unwrap();
    let others = made(&store, &root, "others").await;
    store.add_session(ann.by(), &session(&ann, 1)).await.unwrap();
    let tokens = ann.may_account::<ManageTokens>().unwrap();
    store.add_api_token(&tokens, &token(2)).await.unwrap();
    let mut hints = store.hints();

    let owner = ann.user().id;
    let person = store.set_suspended(&grant, owner, true).await.unwrap();
    assert!(person.suspended_at.is_some());
    assert_eq!(person.containers, 2);
    next(&mut hints, Hint::Credentials { owner }).await;
    next(&mut hints, Hint::Changed { id: one, owner }).await;
    let rows = store.containers(&ann.may_account::<ListContainers>().unwrap()).await.unwrap();
    assert!(rows.iter().all(|row| row.desired == Desired::Stopped && row.status.phase == Phase::Stopped));
    assert!(rows.iter().all(|row| row.generation.0 == 2 && row.stopped_at.is_some()));
    let untouched = store.for_reconcile(others).await.unwrap().unwrap();
    assert_eq!(untouched.desired, Desired::Running, "another user's container");
    assert!(store.session(&SecretHash([1; 32]), Utc::now()).await.unwrap().is_none());
    assert!(store.credential(&SecretHash([2; 32])).await.unwrap().is_none());
    assert!(store.api_tokens(&tokens).await.unwrap().is_empty());
    let again = store.set_suspended(&grant, owner, true).await.unwrap();
    assert_eq!(again, person, "a second time changes nothing");

    let person = store.set_suspended(&grant, owner, false).await.unwrap();
    assert_eq!(person.suspended_at, None);
    store.add_session(ann.by(), &session(&ann, 3)).await.unwrap();
    assert!(store.session(&SecretHash([3; 32]), Utc::now()).await.unwrap().is_some());
    assert!(store.session(&SecretHash([1; 32]), Utc::now()).await.unwrap().is_none(), "the old one stays ended");
    assert_eq!(store.for_reconcile(one).await.unwrap().unwrap().desired, Desired::Stopped);
    store.start(&ann.may::<Start>(one).unwrap()).await.unwrap();

    let nobody = store.set_suspended(&grant, UserId(99), true).await;
    assert!(matches!(nobody, Err(Error::NotFound)));
    let people = store.users(&grant).await.unwrap();
    let seen: Vec<_> = people.iter().map(|one| (one.user.username.as_str(), one.containers)).collect();
    assert_eq!(seen, [("root", 1), ("ann", 2)]);
}

/// The caller was authenticated while all was well; the change comes after the suspension.
async fn a_suspension_and_a_request_that_was_let_in_before_it(store: Db) {
    let (root, ann) = (admin(&store).await, user(&store, "ann").await);
    let id = made(&store, &ann, "one").await;
    store.set_suspended(&root.may_account::<Administer>().unwrap(), ann.user().id, true).await.unwrap();
    assert!(matches!(create(&store, &ann, &new("two"), None).await, Err(Error::Suspended)));
    assert!(matches!(store.start(&ann.may::<Start>(id).unwrap()).await, Err(Error::Suspended)));
    assert!(matches!(store.add_session(ann.by(), &session(&ann, 1)).await, Err(Error::Suspended)));
    let tokens = ann.may_account::<ManageTokens>().unwrap();
    assert!(matches!(store.add_api_token(&tokens, &token(2)).await, Err(Error::Suspended)));
}

async fn outside_users_are_suspended_and_promoted(store: Db) {
    let root = admin(&store).await;
    let (name, origin) = (Username::parse("root").unwrap(), Origin::local(Utc::now()));
    let seen = |is_admin| OutsideUser { subject: "oidc:https://issuer.example#1", id: None, username: &name, is_admin };
    let made = store.provision_user(seen(None), &origin).await.unwrap();
    assert_eq!((made.username.as_str(), made.source, made.is_admin), ("root-2", Source::Oidc, false));
    assert!(store.provision_user(seen(Some(true)), &origin).await.unwrap().is_admin);
    assert!(store.provision_user(seen(None), &origin).await.unwrap().is_admin, "no word on it leaves the row");
    assert!(!store.provision_user(seen(Some(false)), &origin).await.unwrap().is_admin);
    let grant = root.may_account::<Administer>().unwrap();
    store.set_suspended(&grant, made.id, true).await.unwrap();
    for is_admin in [None, Some(true)] {
        assert!(matches!(store.provision_user(seen(is_admin), &origin).await, Err(Error::Suspended)));
    }
    store.set_suspended(&grant, made.id, false).await.unwrap();
    assert_eq!(store.provision_user(seen(None), &origin).await.unwrap().id, made.id);
    let target = AuditFilter { target: Some(made.id.to_string()), ..AuditFilter::default() };
    let expected = ["user.unsuspend", "user.suspend", "user.demote", "user.promote", "user.create"];
    assert_eq!(actions(&store, &root, &target).await, expected);
}

async fn every_change_writes_its_line_with_it(store: Db) {
    let (root, ann) = (admin(&store).await, user(&store, "ann").await);
    let id = made(&store, &ann, "one").await;
    let start = ann.may::<Start>(id).unwrap();
    store.start(&start).await.unwrap();
    store.stop(&ann.may::<Stop>(id).unwrap(), Utc::now()).await.unwrap();
    let refused = create(&store, &ann, &new("one"), None).await;
    assert!(matches!(refused, Err(Error::NameTaken)));
    store.set_suspended(&root.may_account::<Administer>().unwrap(), ann.user().id, true).await.unwrap();

    let by_ann = AuditFilter { user: Some("ann".into()), ..AuditFilter::default() };
    assert_eq!(
        actions(&store, &root, &by_ann).await,
        ["container.stop", "container.create"],
        "what changed nothing is not there"
    );
    let by_root = lines(&store, &root, &AuditFilter { user: Some("root".into()), ..AuditFilter::default() }).await;
    let [line] = &by_root[..] else { panic!("one line: {by_root:?}") };
    assert_eq!((line.action.as_str(), line.outcome.as_str()), ("user.suspend", "ok"));
    assert_eq!((line.user, line.target.clone()), (Some(root.user().id), Some(ann.user().id.to_string())));
    assert_eq!(line.from.as_deref(), Some("192.0.2.1"));
}

async fn the_audit_log_is_read_in_pages(store: Db) {
    let root = admin(&store).await;
    let grant = root.may_account::<Administer>().unwrap();
    let origin = Origin::local(Utc::now());
    for number in 0..25 {
        let line = Audit::refused(&origin, Action::Login, None, Some(number.to_string()));
        store.audit(&line).await.unwrap();
    }
    let mut filter = AuditFilter { action: Some(Action::Login), ..AuditFilter::default() };
    let mut targets = Vec::new();
    loop {
        let page = store.audit_lines(&grant, &filter, 10).await.unwrap();
        // A line that is written between two pages moves nothing.
        store.audit(&Audit::refused(&origin, Action::Login, None, Some("late".into()))).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.before = Some(last.id);
        targets.extend(page.into_iter().map(|line| line.target.unwrap().parse::<i32>().unwrap()));
    }
    assert_eq!(targets, (0..25).rev().collect::<Vec<_>>());
}

async fn the_audit_log_is_filtered(store: Db) {
    let (root, ann) = (admin(&store).await, user(&store, "ann").await);
    let begun = Utc::now();
    let at = |minutes| begun + TimeDelta::minutes(minutes);
    for (minutes, action) in [(1, Action::ContainerStart), (2, Action::ContainerStop), (3, Action::ContainerStart)] {
        let mut by = ann.by().clone();
        by.origin.at = at(minutes);
        store.audit(&Audit::denied(&by, action, Some(format!("c{minutes}")))).await.unwrap();
    }
    let claimed = Audit::refused(&Origin::local(at(4)), Action::Login, Some(Username::parse("ann").unwrap()), None);
    store.audit(&claimed).await.unwrap();
    let id = Some(ann.user().id.to_string());
    let all = AuditFilter::default;
    for (filter, expected) in [
        (AuditFilter { user: Some("ann".into()), ..all() }, 4),
        (AuditFilter { user: id.clone(), ..all() }, 3),
        (AuditFilter { user: Some("nobody".into()), ..all() }, 0),
        (AuditFilter { action: Some(Action::ContainerStart), ..all() }, 2),
        (AuditFilter { target: Some("c2".into()), ..all() }, 1),
        (AuditFilter { since: Some(at(2)), ..all() }, 3),
        (AuditFilter { since: Some(at(1)), until: Some(at(3)), ..all() }, 2),
        (AuditFilter { user: id, action: Some(Action::ContainerStart), since: Some(at(2)), ..all() }, 1),
    ] {
        assert_eq!(lines(&store, &root, &filter).await.len(), expected, "{filter:?}");
    }
}

async fn a_connection_that_is_reported_twice_is_kept_once(store: Db) {
    let (root, ann) = (admin(&store).await, user(&store, "ann").await);
    let id = made(&store, &ann, "one").await;
    let ended = |byte, spoken| Connection {
        id: ConnectionId::from_random([byte; 16]),
        spoken,
        container: id,
        user: Some((ann.user().id, ann.user().username.clone())).filter(|_| spoken == Spoken::Ssh),
        key: Some("SHA256:abc".to_owned()).filter(|_| spoken == Spoken::Ssh),
        from: [192, 0, 2, 9].into(),
        started: Utc::now(),
        lasted: TimeDelta::milliseconds(1250),
        bytes_in: 5,
        bytes_out: u64::from(u32::MAX) + 1,
    };
    let (ssh, https) = (ended(1, Spoken::Ssh), ended(2, Spoken::Https));
    store.record_connections(std::slice::from_ref(&ssh)).await.unwrap();
    store.record_connections(&[ssh, https]).await.unwrap();
    let filter = AuditFilter { target: Some(id.to_string()), ..AuditFilter::default() };
    let lines = lines(&store, &root, &filter).await;
    let words: Vec<_> = lines.iter().map(|line| line.action.as_str()).collect();
    assert_eq!(words, ["connection.https", "connection.ssh", "container.create"]);
    assert_eq!((lines[0].user, lines[1].user), (None, Some(ann.user().id)));
    assert_eq!(lines[1].from.as_deref(), Some("192.0.2.9"));
    let detail = lines[1].detail.as_ref().unwrap();
    assert_eq!((&detail["key"], &detail["duration_ms"]), (&"SHA256:abc".into(), &1250.into()));
    assert_eq!(detail["bytes_out"], 4_294_967_296_u64);
    assert_eq!(lines[2].detail, None);
}
