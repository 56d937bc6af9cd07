//! SQLite, the embedded default: one file, one writer, hints in the process.

use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, Transaction};

use crate::verbs::{
    implement_accounts, implement_addresses, implement_containers, implement_exposures, implement_idempotency,
    implement_keys, implement_people, implement_reconcile, implement_settings, implement_store, implement_timelines,
    store_prelude, usage,
};

store_prelude!();

type Database = Sqlite;

/// How long a writer waits for another process's lock (`berthd token` beside a running berthd).
const BUSY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct SqliteStore {
    /// One connection: writers queue here instead of failing with a busy database.
    writer: SqlitePool,
    reader: SqlitePool,
    hub: Hub,
}

/// A write transaction and the hints that its commit posts.
struct Tx {
    inner: Transaction<'static, Sqlite>,
    hints: Vec<Hint>,
}

impl Tx {
    fn hint(&mut self, hint: Hint) {
        self.hints.push(hint);
    }
}

impl SqliteStore {
    /// Opens or makes the file that `url` (`sqlite:///path`) names.
    ///
    /// # Errors
    /// [`Error::Config`] for a malformed URL, [`Error::Unavailable`] when the file cannot be opened.
    pub async fn open(url: &str) -> Result<Self> {
        let options =
            SqliteConnectOptions::from_str(url).map_err(|error| Error::Config(format!("database URL: {error}")))?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        sqlx::migrate!("migrations/sqlite").run(&writer).await.map_err(Error::Migrate)?;
        let reader = SqlitePoolOptions::new().max_connections(4).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, reader, hub: Hub::default() })
    }

    async fn begin(&self) -> Result<Tx> {
        Ok(Tx { inner: self.writer.begin_with("BEGIN IMMEDIATE").await?, hints: Vec::new() })
    }

    async fn commit(&self, tx: Tx) -> Result<()> {
        tx.inner.commit().await?;
        tx.hints.into_iter().for_each(|hint| self.hub.post(hint));
        Ok(())
    }

    /// The write transaction is the lock.
    async fn lock_users(&self, _tx: &mut Tx) -> Result<()> {
        Ok(())
    }

    async fn after_explicit_id(&self, _tx: &mut Tx) -> Result<()> {
        Ok(())
    }

    fn for_update(&self, plain: &'static str, _locking: &'static str) -> &'static str {
        plain
    }
}

implement_store!(SqliteStore, sqlite);
