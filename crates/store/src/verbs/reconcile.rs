//! Containers, as the reconciler sees them.

macro_rules! implement_reconcile {
    ($store:ty, $rows:ident) => {
        #[async_trait]
        impl Reconcile for $store {
            async fn installation(&self) -> Result<String> {
                Ok(sqlx::query_scalar("SELECT id FROM installation").fetch_one(&self.reader).await?)
            }

            async fn all_ids(&self) -> Result<Vec<ContainerId>> {
                let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM containers").fetch_all(&self.reader).await?;
                let parse = |id: &String| id.parse().map_err(|_| Error::Corrupt(format!("container id {id}")));
                ids.iter().map(parse).collect()
            }

            async fn for_reconcile(&self, id: ContainerId) -> Result<Option<Container>> {
                let query = sqlx::query("SELECT * FROM containers WHERE id = $1").bind(id.to_string());
                query.fetch_optional(&self.reader).await?.map(|row| rows::$rows::container(&row)).transpose()
            }

            async fn exposure(&self, id: ContainerId) -> Result<Exposure> {
                let sql = "SELECT * FROM ingress_rules WHERE container_id = $1 ORDER BY port";
                let found = sqlx::query(sql).bind(id.as_str()).fetch_all(&self.reader).await?;
                let rules = found.iter().map(rows::$rows::rule).collect::<Result<_>>()?;
                let sql = "SELECT k.* FROM ssh_keys k JOIN container_keys c ON c.key_id = k.id \
                           WHERE c.container_id = $1 ORDER BY k.id";
                let found = sqlx::query(sql).bind(id.as_str()).fetch_all(&self.reader).await?;
                let accepted = |key: SshKey| AcceptedKey { id: key.id, key: key.key };
                let keys = found.iter().map(|row| rows::$rows::key(row).map(accepted)).collect::<Result<_>>()?;
                Ok(Exposure { rules, keys })
            }

            async fn claim_namespace(&self, id: ContainerId, uid: &str) -> Result<()> {
                let sql = "UPDATE containers SET namespace_uid = $2 \
                           WHERE id = $1 AND (namespace_uid IS NULL OR namespace_uid = $2)";
                let done = sqlx::query(sql).bind(id.to_string()).bind(uid).execute(&self.writer).await?;
                if done.rows_affected() == 1 { Ok(()) } else { Err(Error::Stale) }
            }

            async fn release_namespace(&self, id: ContainerId, uid: &str) -> Result<()> {
                let sql = "UPDATE containers SET namespace_uid = NULL WHERE id = $1 AND namespace_uid = $2";
                sqlx::query(sql).bind(id.to_string()).bind(uid).execute(&self.writer).await?;
                Ok(())
            }

            async fn record_observed(&self, id: ContainerId, generation: Generation, observed: &Observed) -> Result<bool> {
                let mut tx = self.begin().await?;
                let sql = self.for_update("SELECT * FROM containers WHERE id = $1", "SELECT * FROM containers WHERE id = $1 FOR UPDATE");
                let Some(row) = sqlx::query(sql).bind(id.to_string()).fetch_optional(&mut *tx.inner).await? else {
                    return Ok(false);
                };
                let now = rows::$rows::container(&row)?;
                if now.generation != generation || now.observed == *observed {
                    return Ok(false);
                }
                let status = status(now.desired, observed);
                let memory = now.memory_used_mb.filter(|_| status.phase == Phase::Running);
                let sql = "UPDATE containers SET observed = $2, status = $3, transition = $4, reason = $5, message = $6, \
                           memory_used_mb = $7, image_digest = COALESCE($8, image_digest) WHERE id = $1";
                let digest = observed.pod.as_ref().and_then(|pod| pod.image_digest.as_ref());
                let query = sqlx::query(sql).bind(id.to_string()).bind(rows::encode(observed)?);
                let query = query.bind(status.phase.as_str()).bind(status.transition.map(Transition::as_str));
                let query = query.bind(status.reason.map(Reason::as_str)).bind(&status.message).bind(memory);
                let query = query.bind(digest.map(ImageDigest::as_str));
                query.execute(&mut *tx.inner).await?;
                if status != now.status {
                    tx.hint(Hint::Changed { id, owner: now.owner });
                }
                self.commit(tx).await?;
                Ok(true)
            }

            async fn record_memory(&self, usage: &[(ContainerId, Option<i32>)]) -> Result<()> {
                let mut tx = self.begin().await?;
                for (id, used) in usage {
                    let sql = "UPDATE containers SET memory_used_mb = $2 WHERE id = $1 AND status = 'running'";
                    sqlx::query(sql).bind(id.to_string()).bind(used).execute(&mut *tx.inner).await?;
                }
                self.commit(tx).await
            }

            async fn running(&self) -> Result<Vec<Running>> {
                let sql = "SELECT id, user_id, storage_gb FROM containers WHERE status = 'running'";
                let found = sqlx::query(sql).fetch_all(&self.reader).await?;
                found.iter().map(rows::$rows::running).collect()
            }

            async fn record_disk(&self, usage: &[(ContainerId, i64)]) -> Result<()> {
                let mut tx = self.begin().await?;
                for (id, used) in usage {
                    let sql = "UPDATE containers SET disk_used_bytes = $2 WHERE id = $1";
                    sqlx::query(sql).bind(id.to_string()).bind(used).execute(&mut *tx.inner).await?;
                }
                self.commit(tx).await
            }

            async fn remove_row(&self, id: ContainerId) -> Result<()> {
                let mut tx = self.begin().await?;
                let sql = "DELETE FROM containers WHERE id = $1 AND desired = 'deleted' RETURNING user_id";
                let query = sqlx::query(sql).bind(id.to_string());
                let row = query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?;
                let owner: String = rows::get(&row, "user_id")?;
                let owner = owner.parse().map_err(|_| Error::Corrupt(format!("user id {owner}")))?;
                tx.hint(Hint::Removed { id, owner });
                self.commit(tx).await
            }

            async fn settle_addresses(&self, addresses: &Addresses) -> Result<usize> {
                let sql = "SELECT * FROM containers WHERE deleted_at IS NULL ORDER BY created_at, id";
                let found = sqlx::query(sql).fetch_all(&self.reader).await?;
                let mut changed = 0;
                for row in &found {
                    let container = rows::$rows::container(row)?;
                    changed += usize::from(self.settle_address(&container, addresses).await?);
                }
                Ok(changed)
            }

            async fn isolation(&self, cluster: &str) -> Result<Option<Isolation>> {
                let sql = "SELECT policies_enforced, user_namespaces FROM cluster_isolation WHERE cluster = $1";
                let row = sqlx::query(sql).bind(cluster).fetch_optional(&self.reader).await?;
                let shown = |row| {
                    let policies_enforced = rows::get(&row, "policies_enforced")?;
                    Ok(Isolation { policies_enforced, user_namespaces: rows::get(&row, "user_namespaces")? })
                };
                row.map(shown).transpose()
            }

            async fn record_isolation(&self, cluster: &str, shown: Isolation, now: DateTime<Utc>) -> Result<()> {
                let sql = "INSERT INTO cluster_isolation (cluster, policies_enforced, user_namespaces, shown_at) \
                           VALUES ($1, $2, $3, $4) ON CONFLICT (cluster) DO UPDATE SET \
                           policies_enforced = $2, user_namespaces = $3, shown_at = $4";
                let query = sqlx::query(sql).bind(cluster).bind(shown.policies_enforced).bind(shown.user_namespaces);
                query.bind(now.naive_utc()).execute(&self.writer).await?;
                Ok(())
            }
        }
    };
}

pub(crate) use implement_reconcile;
