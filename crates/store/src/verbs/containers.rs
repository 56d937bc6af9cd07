//! Containers, as their owners see them.

macro_rules! implement_containers {
    ($store:ty, $rows:ident) => {
        #[async_trait]
        impl Containers for $store {
            async fn create_container(
                &self,
                grant: &AccountGrant<CreateContainer>,
                new: &NewContainer,
                quota: &Quota,
                addresses: &Addresses,
                key: Option<&IdempotencyKey>,
            ) -> Result<Created> {
                let owner = grant.user();
                let user_id = owner.id.to_string();
                let mut tx = self.begin().await?;
                self.lock_user(&mut tx, owner.id).await?;
                if let Some(row) = self.container_made_before(&mut tx, owner.id, key).await? {
                    return Ok(Created::Replayed(row));
                }
                let usage = usage!(&mut *tx.inner, owner.id);
                quota.admit(&usage, new.spec.memory, new.spec.storage)?;
                let sql = "SELECT id FROM containers WHERE user_id = $1 AND name = $2 AND deleted_at IS NULL";
                let taken = sqlx::query(sql).bind(&user_id).bind(new.spec.name.as_str());
                if taken.fetch_optional(&mut *tx.inner).await?.is_some() {
                    return Err(Error::NameTaken);
                }
                for key in &new.keys {
                    let query = sqlx::query("SELECT id FROM ssh_keys WHERE id = $1 AND user_id = $2");
                    if query.bind(key.0).bind(owner.id.0).fetch_optional(&mut *tx.inner).await?.is_none() {
                        return Err(Error::UnknownKey(*key));
                    }
                }
                let address = self.address_for(&mut tx, owner.id, new.id, addresses).await?;
                let observed = Observed::default();
                let status = status(Desired::Running, &observed);
                let sql = "INSERT INTO containers (id, user_id, owner_username, name, namespace, image, pull_policy, \
                           instance_type, memory_mb, storage_gb, mount_paths, ssh_enabled, created_at, desired, generation, \
                           observed, status, transition, reason, message, image_digest, external_ip) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
                           $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) RETURNING *";
                let spec = &new.spec;
                let query = sqlx::query(sql)
                    .bind(new.id.as_str())
                    .bind(&user_id)
                    .bind(owner.username.as_str())
                    .bind(spec.name.as_str())
                    .bind(Names::new(owner.id, new.id).namespace())
                    .bind(spec.image.as_str())
                    .bind(spec.pull_policy.as_str())
                    .bind(&spec.instance_type)
                    .bind(spec.memory.get())
                    .bind(spec.storage.get())
                    .bind(rows::encode(&spec.mounts)?)
                    .bind(spec.ssh_enabled)
                    .bind(new.created_at.naive_utc())
                    .bind(Desired::Running.as_str())
                    .bind(Generation::FIRST.0)
                    .bind(rows::encode(&observed)?)
                    .bind(status.phase.as_str())
                    .bind(status.transition.map(Transition::as_str))
                    .bind(status.reason.map(Reason::as_str))
                    .bind(status.message)
                    .bind(new.image_digest.as_ref().map(ImageDigest::as_str))
                    .bind(address.map(|address| address.to_string()));
                let row = query.fetch_one(&mut *tx.inner).await.map_err(|error| match unique(error, "id") {
                    Error::Conflict { .. } => Error::IdTaken,
                    other => other,
                })?;
                let container = rows::$rows::container(&row)?;
                for key in &new.keys {
                    let query = sqlx::query("INSERT INTO container_keys (container_id, key_id) VALUES ($1, $2)");
                    query.bind(new.id.as_str()).bind(key.0).execute(&mut *tx.inner).await?;
                }
                self.remember(&mut tx, owner.id, key, new.id.as_str(), new.created_at).await?;
                self.record(&mut tx, &Audit::done(grant.by(), Action::ContainerCreate, Some(new.id.to_string()))).await?;
                tx.hint(Hint::Listed { id: new.id, owner: owner.id });
                self.tell(&mut tx, new.id, owner.id, &[Entry::created(&container)]).await?;
                self.commit(tx).await?;
                Ok(Created::New(container))
            }

            async fn replayed(
                &self,
                grant: &AccountGrant<CreateContainer>,
                key: &IdempotencyKey,
            ) -> Result<Option<Container>> {
                let mut tx = self.begin().await?;
                let made = self.container_made_before(&mut tx, grant.user().id, Some(key)).await?;
                self.commit(tx).await?;
                Ok(made)
            }

            async fn containers(&self, grant: &AccountGrant<ListContainers>) -> Result<Vec<Container>> {
                let sql = "SELECT * FROM containers WHERE user_id = $1 AND deleted_at IS NULL \
                           ORDER BY created_at DESC, id DESC";
                let found = sqlx::query(sql).bind(grant.user().id.to_string()).fetch_all(&self.reader).await?;
                found.iter().map(rows::$rows::container).collect()
            }

            async fn container(&self, grant: &Grant<Read>) -> Result<Container> {
                let sql = "SELECT * FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
                let query = sqlx::query(sql).bind(grant.target().to_string()).bind(grant.owner().to_string());
                rows::$rows::container(&query.fetch_optional(&self.reader).await?.ok_or(Error::NotFound)?)
            }

            async fn usage(&self, grant: &AccountGrant<ListContainers>) -> Result<Usage> {
                Ok(usage!(&self.reader, grant.user().id))
            }

            async fn start(&self, grant: &Grant<Start>) -> Result<Container> {
                self.want(grant.by(), grant.target(), Desired::Running, None, Action::ContainerStart).await
            }

            async fn stop(&self, grant: &Grant<Stop>, now: DateTime<Utc>) -> Result<Container> {
                self.want(grant.by(), grant.target(), Desired::Stopped, Some(now), Action::ContainerStop).await
            }

            async fn delete(&self, grant: &Grant<Delete>, now: DateTime<Utc>) -> Result<()> {
                self.want(grant.by(), grant.target(), Desired::Deleted, Some(now), Action::ContainerDelete).await.map(drop)
            }

            async fn all_containers(&self, _grant: &AccountGrant<Administer>) -> Result<Vec<Container>> {
                let sql = "SELECT * FROM containers WHERE deleted_at IS NULL ORDER BY created_at DESC, id DESC";
                sqlx::query(sql).fetch_all(&self.reader).await?.iter().map(rows::$rows::container).collect()
            }
        }

        impl $store {
            async fn want(
                &self,
                by: &By,
                id: ContainerId,
                desired: Desired,
                now: Option<DateTime<Utc>>,
                action: Action,
            ) -> Result<Container> {
                let mut tx = self.begin().await?;
                if desired == Desired::Running {
                    self.lock_user(&mut tx, by.user.id).await?;
                }
                let sql = self.for_update(
                    "SELECT * FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL",
                    "SELECT * FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL FOR UPDATE",
                );
                let query = sqlx::query(sql).bind(id.to_string()).bind(by.user.id.to_string());
                let row = query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?;
                let container = rows::$rows::container(&row)?;
                if container.desired == desired {
                    return Ok(container);
                }
                let container = self.write_desired(&mut tx, by, &container, desired, now).await?;
                self.record(&mut tx, &Audit::done(by, action, Some(id.to_string()))).await?;
                self.commit(tx).await?;
                Ok(container)
            }

            /// A new intent, and with it a new generation, for a row that this transaction holds.
            async fn write_desired(
                &self,
                tx: &mut Tx,
                by: &By,
                container: &Container,
                desired: Desired,
                now: Option<DateTime<Utc>>,
            ) -> Result<Container> {
                let (id, owner) = (container.id, container.owner);
                let mut container = container.clone();
                // A start that comes before the stop has removed the pod still gets a fresh one.
                let starts = desired == Desired::Running;
                if let Some(pod) = container.observed.pod.as_mut().filter(|_| starts) {
                    pod.outdated = true;
                }
                let status = status(desired, &container.observed);
                let deleted_at = now.filter(|_| desired == Desired::Deleted).map(|at| at.naive_utc());
                let stopped_at = now.map(|at| at.naive_utc());
                let sql = "UPDATE containers SET desired = $2, generation = generation + 1, status = $3, transition = $4, \
                           reason = $5, message = $6, stopped_at = $7, deleted_at = $8, memory_used_mb = NULL, \
                           observed = $9, restart_generation = CASE WHEN $10 THEN generation + 1 ELSE restart_generation END \
                           WHERE id = $1 RETURNING *";
                let query = sqlx::query(sql).bind(id.to_string()).bind(desired.as_str()).bind(status.phase.as_str());
                let query = query.bind(status.transition.map(Transition::as_str));
                let query = query.bind(status.reason.map(Reason::as_str)).bind(status.message);
                let query = query.bind(stopped_at).bind(deleted_at).bind(rows::encode(&container.observed)?).bind(starts);
                let row = query.fetch_one(&mut *tx.inner).await?;
                tx.hint(match desired {
                    Desired::Deleted => Hint::Listed { id, owner },
                    Desired::Running | Desired::Stopped => Hint::Changed { id, owner },
                });
                let container = rows::$rows::container(&row)?;
                if let Some(entry) = Entry::requested(&container, by.origin.at) {
                    self.tell(tx, id, owner, [&entry]).await?;
                }
                Ok(container)
            }
        }
    };
}

/// Counts what a user holds; deleted containers count no more.
macro_rules! usage {
    ($on:expr, $user:expr) => {{
        let sql = "SELECT COUNT(*) AS containers, CAST(COALESCE(SUM(memory_mb), 0) AS BIGINT) AS memory_mb, \
                   CAST(COALESCE(SUM(storage_gb), 0) AS BIGINT) AS storage_gb, \
                   (SELECT COUNT(*) FROM ssh_keys WHERE user_id = $2) AS ssh_keys, \
                   (SELECT COUNT(*) FROM ingress_rules r JOIN containers c ON c.id = r.container_id \
                    WHERE c.user_id = $1 AND c.deleted_at IS NULL) AS ingress_rules \
                   FROM containers WHERE user_id = $1 AND deleted_at IS NULL";
        let row = sqlx::query(sql).bind($user.to_string()).bind($user.0).fetch_one($on).await?;
        Usage {
            containers: rows::get(&row, "containers")?,
            memory_mb: rows::get(&row, "memory_mb")?,
            storage_gb: rows::get(&row, "storage_gb")?,
            ssh_keys: rows::get(&row, "ssh_keys")?,
            ingress_rules: rows::get(&row, "ingress_rules")?,
        }
    }};
}

pub(crate) use {implement_containers, usage};
