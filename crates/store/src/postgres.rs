//! PostgreSQL, for several replicas: row locks, and hints by LISTEN/NOTIFY.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{Postgres, Transaction};
use tokio::time::Instant;

use crate::verbs::{
    implement_accounts, implement_addresses, implement_containers, implement_exposures, implement_idempotency,
    implement_keys, implement_people, implement_reconcile, implement_settings, implement_store, implement_timelines,
    store_prelude, usage,
};

store_prelude!();

type Database = Postgres;

/// Channel of the hints.
const CHANNEL: &str = "berth_hints";
/// Advisory lock of the schema; polled, so that a replica that waits can say so and give up.
const MIGRATION_LOCK: i64 = 0x0062_6572_7468;
const MIGRATION_WAIT: Duration = Duration::from_secs(60);
const RECONNECT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct PostgresStore {
    writer: PgPool,
    reader: PgPool,
    hub: Hub,
}

/// A transaction and the hints that are part of it.
struct Tx {
    inner: Transaction<'static, Postgres>,
    hints: Vec<Hint>,
}

impl Tx {
    fn hint(&mut self, hint: Hint) {
        self.hints.push(hint);
    }
}

impl PostgresStore {
    /// Connects and brings the schema up to date.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server does not answer or another replica holds the schema for a minute.
    pub async fn open(url: &str) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(16).connect(url).await?;
        migrate(&pool).await?;
        let hub = Hub::default();
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        tokio::spawn(listen(listener, hub.clone()));
        Ok(Self { writer: pool.clone(), reader: pool, hub })
    }

    async fn begin(&self) -> Result<Tx> {
        Ok(Tx { inner: self.writer.begin().await?, hints: Vec::new() })
    }

    async fn commit(&self, mut tx: Tx) -> Result<()> {
        for hint in &tx.hints {
            let query = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(rows::encode(hint)?);
            query.execute(&mut *tx.inner).await?;
        }
        Ok(tx.inner.commit().await?)
    }

    /// Provisioning is rare: one at a time keeps names and numbers unique without retries.
    async fn lock_users(&self, tx: &mut Tx) -> Result<()> {
        sqlx::query("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE").execute(&mut *tx.inner).await?;
        Ok(())
    }

    /// Numbers that a claim chose must not be drawn again.
    async fn after_explicit_id(&self, tx: &mut Tx) -> Result<()> {
        let sql = "SELECT setval(pg_get_serial_sequence('users', 'id'), (SELECT GREATEST(MAX(id), 999999) FROM users))";
        sqlx::query(sql).execute(&mut *tx.inner).await?;
        Ok(())
    }

    fn for_update(&self, _plain: &'static str, locking: &'static str) -> &'static str {
        locking
    }
}

async fn migrate(pool: &PgPool) -> Result<()> {
    let mut connection = pool.acquire().await?;
    let deadline = Instant::now() + MIGRATION_WAIT;
    loop {
        let query = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(MIGRATION_LOCK);
        if query.fetch_one(&mut *connection).await? {
            break;
        }
        if Instant::now() > deadline {
            return Err(Error::Config("another berthd has been changing the schema for a minute".to_owned()));
        }
        tokio::time::sleep(RECONNECT).await;
    }
    let mut migrator = sqlx::migrate!("migrations/postgres");
    let done = migrator.set_locking(false).run(&mut *connection).await.map_err(Error::Migrate);
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(MIGRATION_LOCK).execute(&mut *connection).await?;
    done
}

/// Passes notifications on until nobody holds the store; after a gap everybody reads again.
async fn listen(mut listener: PgListener, hub: Hub) {
    while hub.is_held() {
        match tokio::time::timeout(RECONNECT * 10, listener.try_recv()).await {
            Err(_nothing_came) => {}
            Ok(Ok(Some(notification))) => match serde_json::from_str(notification.payload()) {
                Ok(hint) => hub.post(hint),
                Err(error) => {
                    tracing::warn!(%error, "a hint could not be read");
                    hub.post(Hint::Resync);
                }
            },
            // The connection was lost; the next call makes a new one.
            Ok(Ok(None)) => hub.post(Hint::Resync),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database does not send hints");
                tokio::time::sleep(RECONNECT).await;
                hub.post(Hint::Resync);
            }
        }
    }
}

implement_store!(PostgresStore, postgres);
