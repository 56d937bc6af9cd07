//! `GET /compute/containers` of users who own few and many rows, against `GET /healthz` of the same daemon, turn by turn.
//! The rows are stopped ones, so that nothing is started for them.

use std::time::Duration;

use anyhow::Context;
use berth_core::access::{Actor, CreateContainer, Reach, Stop};
use berth_core::address::Addresses;
use berth_core::audit::Origin;
use berth_core::container::Spec;
use berth_core::id::{ContainerId, UserId};
use berth_core::image::ImageRef;
use berth_core::mount::MountPaths;
use berth_core::name::{ContainerName, Username};
use berth_core::pull_policy::PullPolicy;
use berth_core::quota::Quota;
use berth_core::size::{MemoryMb, StorageGb};
use berth_e2e::berthd::Berthd;
use berth_store::{NewContainer, OutsideUser, Store};
use chrono::Utc;
use tokio::time::{Instant, sleep};

use crate::machine;
use crate::table::{Row, Samples};

/// User → rows.
const USERS: [(i64, usize); 3] = [(91, 10), (92, 1_000), (93, 10_000)];
const ROUNDS: usize = 100;
const UNLIMITED: Quota =
    Quota { containers: i64::MAX, memory_mb: i64::MAX, storage_gb: i64::MAX, ssh_keys: 0, ingress_rules: 0 };

pub(crate) async fn rows() -> anyhow::Result<Vec<Row>> {
    let mut berthd = Berthd::configured();
    let store = berth_store::open(berthd.database_url()).await?;
    for (user, count) in USERS {
        insert(store.as_ref(), user, count).await.with_context(|| format!("inserting {count} rows"))?;
    }
    drop(store);
    berthd.launch().await;
    quiet(&berthd).await?;

    let client = reqwest::Client::new();
    let get = async |path: &str, token: &str| -> anyhow::Result<(Duration, usize)> {
        let begun = Instant::now();
        let answer = client.get(berthd.url(path)).bearer_auth(token).send().await?.error_for_status()?;
        let length = answer.bytes().await?.len();
        Ok((begun.elapsed(), length))
    };
    let mut healthz = Samples::default();
    let mut lists = USERS.map(|(user, count)| (berthd.user(user, &name(user)).token, count, Samples::default(), 0));
    for _ in 0..ROUNDS {
        healthz.push(get("/healthz", "").await.context("GET /healthz")?.0);
        for (token, _, samples, bytes) in &mut lists {
            let (taken, length) = get("/compute/containers", token).await.context("GET /compute/containers")?;
            samples.push(taken);
            *bytes = length;
        }
    }
    let row = |(_, count, samples, bytes): &(String, usize, Samples, usize)| {
        let row = Row::timed(&format!("list of {count}"), samples).against("GET /healthz", samples, &healthz);
        row.note(format!("{bytes} bytes, {} a row", bytes / count))
    };
    Ok(lists.iter().map(row).collect())
}

fn name(user: i64) -> String {
    format!("owner-{user}")
}

async fn insert(store: &dyn Store, user: i64, count: usize) -> anyhow::Result<()> {
    let subject = format!("jwt:{user}");
    let (username, origin) = (Username::parse(&name(user))?, Origin::local(Utc::now()));
    let seen = OutsideUser { subject: &subject, id: Some(UserId(user)), username: &username, is_admin: None };
    let owner = store.provision_user(seen, &origin).await?;
    let actor = Actor::authenticated(owner, Reach::Login, origin);
    for number in 0..count {
        let spec = Spec {
            name: ContainerName::parse(&format!("machine-{number}"))?,
            image: ImageRef::from_stored("registry.berth.internal/berth/base:latest".to_owned()),
            pull_policy: PullPolicy::default(),
            instance_type: "nano".to_owned(),
            memory: MemoryMb::DEFAULT,
            storage: StorageGb::DEFAULT,
            mounts: MountPaths::default(),
            ssh_enabled: false,
        };
        // Unique without chance: the user's number above the row's.
        let id = ContainerId::from_random(user.unsigned_abs() << 20 | number as u64);
        let new = NewContainer { id, spec, keys: Vec::new(), image_digest: None, created_at: Utc::now() };
        let grant = actor.may_account::<CreateContainer>()?;
        store.create_container(&grant, &new, &UNLIMITED, &Addresses::default(), None).await?;
        store.stop(&actor.may::<Stop>(id)?, Utc::now()).await?;
    }
    Ok(())
}

/// A berthd that was just started looks at every row, and again once its canary has shown the cluster safe; the figure is
/// that of one at rest.
async fn quiet(berthd: &Berthd) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(300);
    let pid = berthd.pid().context("berthd does not run")?;
    let mut last = machine::ticks(pid)?;
    loop {
        anyhow::ensure!(Instant::now() < deadline, "gave up waiting for berthd to be at rest");
        sleep(Duration::from_secs(2)).await;
        let now = machine::ticks(pid)?;
        if now - last < 4 && berthd.log().contains("containers may start") {
            return Ok(());
        }
        last = now;
    }
}
