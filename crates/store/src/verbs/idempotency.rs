//! Repeated requests: what the first one made.

macro_rules! implement_idempotency {
    ($store:ty, $rows:ident) => {
        impl $store {
            /// What the user's first request with this key made; `None` when there was none. To be asked while the user's row is
            /// locked, so that of two at the same time one waits.
            async fn made_before(
                &self,
                tx: &mut Tx,
                owner: UserId,
                key: Option<&IdempotencyKey>,
            ) -> Result<Option<String>> {
                let Some(key) = key else { return Ok(None) };
                let sql = "SELECT request, made FROM idempotency WHERE user_id = $1 AND key = $2";
                let query = sqlx::query(sql).bind(owner.0).bind(&key.key);
                let Some(row) = query.fetch_optional(&mut *tx.inner).await? else { return Ok(None) };
                if rows::get::<String, _>(&row, "request")? != rows::hex(&key.request) {
                    return Err(Error::IdempotencyMismatch);
                }
                rows::get(&row, "made").map(Some)
            }

            async fn container_made_before(
                &self,
                tx: &mut Tx,
                owner: UserId,
                key: Option<&IdempotencyKey>,
            ) -> Result<Option<Container>> {
                let Some(made) = self.made_before(tx, owner, key).await? else { return Ok(None) };
                let query = sqlx::query("SELECT * FROM containers WHERE id = $1 AND deleted_at IS NULL").bind(made);
                let row = query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?;
                rows::$rows::container(&row).map(Some)
            }

            async fn remember(
                &self,
                tx: &mut Tx,
                owner: UserId,
                key: Option<&IdempotencyKey>,
                made: &str,
                now: DateTime<Utc>,
            ) -> Result<()> {
                let Some(key) = key else { return Ok(()) };
                let sql =
                    "INSERT INTO idempotency (user_id, key, request, made, created_at) VALUES ($1, $2, $3, $4, $5)";
                let query = sqlx::query(sql).bind(owner.0).bind(&key.key).bind(rows::hex(&key.request));
                query.bind(made).bind(now.naive_utc()).execute(&mut *tx.inner).await?;
                Ok(())
            }
        }
    };
}

pub(crate) use implement_idempotency;
