//! SSH keys of users.

macro_rules! implement_keys {
    ($store:ty, $rows:ident) => {
        #[async_trait]
        impl Keys for $store {
            async fn ssh_keys(&self, grant: &AccountGrant<ListKeys>) -> Result<Vec<SshKey>> {
                let sql = "SELECT * FROM ssh_keys WHERE user_id = $1 ORDER BY created_at DESC, id DESC";
                let found = sqlx::query(sql).bind(grant.user().id.0).fetch_all(&self.reader).await?;
                found.iter().map(rows::$rows::key).collect()
            }

            async fn add_ssh_key(
                &self,
                grant: &AccountGrant<CreateKey>,
                new: &NewSshKey,
                quota: &Quota,
                idempotency: Option<&IdempotencyKey>,
            ) -> Result<SshKey> {
                let owner = grant.user().id;
                let mut tx = self.begin().await?;
                self.lock_user(&mut tx, owner).await?;
                if let Some(made) = self.made_before(&mut tx, owner, idempotency).await? {
                    let query = sqlx::query("SELECT * FROM ssh_keys WHERE CAST(id AS TEXT) = $1").bind(made);
                    return rows::$rows::key(&query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?);
                }
                let sql = "SELECT id FROM ssh_keys WHERE user_id = $1 AND fingerprint = $2";
                let same = sqlx::query(sql).bind(owner.0).bind(new.key.fingerprint());
                if same.fetch_optional(&mut *tx.inner).await?.is_some() {
                    return Err(Error::KeyExists);
                }
                quota.admit_key(usage!(&mut *tx.inner, owner).ssh_keys)?;
                let sql = "INSERT INTO ssh_keys (user_id, name, public_key, fingerprint, created_at) \
                           VALUES ($1, $2, $3, $4, $5) RETURNING *";
                let query = sqlx::query(sql).bind(owner.0).bind(&new.name).bind(new.key.line());
                let query = query.bind(new.key.fingerprint()).bind(new.created_at.naive_utc());
                let key = rows::$rows::key(&query.fetch_one(&mut *tx.inner).await?)?;
                self.remember(&mut tx, owner, idempotency, &key.id.to_string(), new.created_at).await?;
                self.record(&mut tx, &Audit::done(grant.by(), Action::KeyCreate, Some(key.id.to_string()))).await?;
                self.commit(tx).await?;
                Ok(key)
            }

            async fn delete_ssh_key(&self, grant: &AccountGrant<DeleteKey>, id: KeyId) -> Result<()> {
                let owner = grant.user().id;
                let mut tx = self.begin().await?;
                // A container that is being created with this key waits, and then does not find it.
                self.lock_user(&mut tx, owner).await?;
                let sql = "UPDATE containers SET generation = generation + 1 WHERE user_id = $2 AND deleted_at IS NULL \
                           AND id IN (SELECT container_id FROM container_keys WHERE key_id = $1) RETURNING id";
                let query = sqlx::query(sql).bind(id.0).bind(owner.to_string());
                for row in query.fetch_all(&mut *tx.inner).await? {
                    let id: String = rows::get(&row, "id")?;
                    let id = id.parse().map_err(|_| Error::Corrupt(format!("container id {id}")))?;
                    tx.hint(Hint::Changed { id, owner });
                }
                // The rows of container_keys go with it.
                let query = sqlx::query("DELETE FROM ssh_keys WHERE id = $1 AND user_id = $2").bind(id.0).bind(owner.0);
                if query.execute(&mut *tx.inner).await?.rows_affected() == 0 {
                    return Err(Error::NotFound);
                }
                self.record(&mut tx, &Audit::done(grant.by(), Action::KeyDelete, Some(id.to_string()))).await?;
                self.commit(tx).await
            }
        }
    };
}

pub(crate) use implement_keys;
