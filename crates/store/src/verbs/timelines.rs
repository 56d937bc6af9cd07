//! What happened to containers.

macro_rules! implement_timelines {
    ($store:ty, $rows:ident) => {
        #[async_trait]
        impl Timelines for $store {
            async fn record_entries(&self, id: ContainerId, entries: &[Entry]) -> Result<bool> {
                // Mostly there is nothing new, and reading waits for no writer.
                let news = if entries.is_empty() { Vec::new() } else { self.news(id, entries).await? };
                if news.is_empty() {
                    return Ok(false);
                }
                let mut tx = self.begin().await?;
                let sql = self.for_update(
                    "SELECT user_id FROM containers WHERE id = $1",
                    "SELECT user_id FROM containers WHERE id = $1 FOR UPDATE",
                );
                let Some(row) = sqlx::query(sql).bind(id.as_str()).fetch_optional(&mut *tx.inner).await? else {
                    return Ok(false);
                };
                let owner: String = rows::get(&row, "user_id")?;
                let owner = owner.parse().map_err(|_| Error::Corrupt(format!("user id {owner}")))?;
                // The row is held: nobody else adds to this timeline meanwhile.
                self.tell(&mut tx, id, owner, news).await?;
                let changed = !tx.hints.is_empty();
                self.commit(tx).await?;
                Ok(changed)
            }

            async fn timeline(&self, grant: &Grant<Read>, after: i64, limit: u32) -> Result<Vec<Told>> {
                let sql = "SELECT id FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
                let query = sqlx::query(sql).bind(grant.target().to_string()).bind(grant.owner().to_string());
                query.fetch_optional(&self.reader).await?.ok_or(Error::NotFound)?;
                let sql = "SELECT * FROM container_events WHERE container_id = $1 AND id > $2 ORDER BY id LIMIT $3";
                let query = sqlx::query(sql).bind(grant.target().to_string()).bind(after).bind(i64::from(limit));
                query.fetch_all(&self.reader).await?.iter().map(rows::$rows::told).collect()
            }

            async fn timeline_changes(&self, grant: &Grant<Read>, since: i64) -> Result<Vec<Told>> {
                let sql = "SELECT e.* FROM container_events e JOIN containers c ON c.id = e.container_id \
                           WHERE c.id = $1 AND c.user_id = $2 AND c.deleted_at IS NULL AND e.revision > $3 \
                           ORDER BY e.revision";
                let query = sqlx::query(sql).bind(grant.target().to_string()).bind(grant.owner().to_string());
                query.bind(since).fetch_all(&self.reader).await?.iter().map(rows::$rows::told).collect()
            }

            async fn remains(&self, grant: &Grant<Read>) -> Result<Option<Container>> {
                let sql = "SELECT * FROM containers WHERE id = $1 AND user_id = $2";
                let query = sqlx::query(sql).bind(grant.target().to_string()).bind(grant.owner().to_string());
                query.fetch_optional(&self.reader).await?.map(|row| rows::$rows::container(&row)).transpose()
            }
        }

        impl $store {
            /// Which of these are not kept yet, or are counted lower. What is older than all that is kept was kept once.
            async fn news<'a>(&self, id: ContainerId, entries: &'a [Entry]) -> Result<Vec<&'a Entry>> {
                let sql = "SELECT id, key, count, at FROM container_events WHERE container_id = $1 ORDER BY id";
                let mut known: HashMap<String, i64> = HashMap::new();
                let (mut last, mut oldest) = (0, None);
                for row in sqlx::query(sql).bind(id.as_str()).fetch_all(&self.reader).await? {
                    last = rows::get(&row, "id")?;
                    let at = rows::get::<NaiveDateTime, _>(&row, "at")?.and_utc();
                    oldest = Some(oldest.map_or(at, |oldest: DateTime<Utc>| oldest.min(at)));
                    known.insert(rows::get(&row, "key")?, rows::get(&row, "count")?);
                }
                let pruned = |entry: &Entry| last > KEPT && oldest.is_some_and(|oldest| entry.at < oldest);
                let is_new = |entry: &&Entry| match known.get(&entry.key) {
                    Some(count) => *count < i64::from(entry.count),
                    None => !pruned(entry),
                };
                Ok(entries.iter().filter(is_new).collect())
            }

            /// Keeps these, for a row that this transaction holds.
            async fn tell(
                &self,
                tx: &mut Tx,
                id: ContainerId,
                owner: UserId,
                entries: impl IntoIterator<Item = &Entry> + Send,
            ) -> Result<()> {
                let sql = "SELECT COALESCE(MAX(id), 0) AS id, COALESCE(MAX(revision), 0) AS revision \
                           FROM container_events WHERE container_id = $1";
                let row = sqlx::query(sql).bind(id.as_str()).fetch_one(&mut *tx.inner).await?;
                let (mut last, since): (i64, i64) = (rows::get(&row, "id")?, rows::get(&row, "revision")?);
                let mut revision = since;
                for entry in entries {
                    let Entry { kind, at, message, key, count } = entry;
                    let sql = "INSERT INTO container_events (container_id, id, revision, key, kind, at, message, count) \
                               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                               ON CONFLICT (container_id, key) DO UPDATE SET revision = excluded.revision, \
                               at = excluded.at, message = excluded.message, count = excluded.count \
                               WHERE container_events.count < excluded.count";
                    let query = sqlx::query(sql).bind(id.to_string()).bind(last + 1).bind(revision + 1).bind(key.clone());
                    let query = query.bind(kind.as_str()).bind(at.naive_utc()).bind(message.clone()).bind(i64::from(*count));
                    if query.execute(&mut *tx.inner).await?.rows_affected() == 1 {
                        (last, revision) = (last + 1, revision + 1);
                    }
                }
                let sql = "DELETE FROM container_events WHERE container_id = $1 AND id <= $2";
                sqlx::query(sql).bind(id.to_string()).bind(last - KEPT).execute(&mut *tx.inner).await?;
                if revision > since {
                    tx.hint(Hint::Told { id, owner, since });
                }
                Ok(())
            }
        }
    };
}

pub(crate) use implement_timelines;
