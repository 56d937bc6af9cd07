//! How containers can be reached from outside: ingress rules and SSH.

macro_rules! implement_exposures {
    ($store:ty, $rows:ident) => {
        #[async_trait]
        impl Exposures for $store {
            async fn ingress_rules(&self, grant: &Grant<Read>) -> Result<Vec<Rule>> {
                let container = grant.target().to_string();
                let sql = "SELECT id FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
                let owned = sqlx::query(sql).bind(&container).bind(grant.owner().to_string());
                owned.fetch_optional(&self.reader).await?.ok_or(Error::NotFound)?;
                let sql = "SELECT * FROM ingress_rules WHERE container_id = $1 ORDER BY port";
                let found = sqlx::query(sql).bind(&container).fetch_all(&self.reader).await?;
                found.iter().map(rows::$rows::rule).collect()
            }

            async fn add_ingress_rule(
                &self,
                grant: &Grant<Update>,
                new: &NewRule,
                quota: &Quota,
                idempotency: Option<&IdempotencyKey>,
                now: DateTime<Utc>,
            ) -> Result<Rule> {
                let (owner, id) = (grant.owner(), grant.target());
                let mut tx = self.begin().await?;
                self.lock_user(&mut tx, owner).await?;
                let container = self.locked(&mut tx, owner, id).await?;
                if let Some(made) = self.made_before(&mut tx, owner, idempotency).await? {
                    let query = sqlx::query("SELECT * FROM ingress_rules WHERE CAST(id AS TEXT) = $1").bind(made);
                    return rows::$rows::rule(&query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?);
                }
                let port = i32::from(new.port.get());
                let taken = sqlx::query("SELECT id FROM ingress_rules WHERE container_id = $1 AND port = $2");
                if taken.bind(id.as_str()).bind(port).fetch_optional(&mut *tx.inner).await?.is_some() {
                    return Err(Error::PortTaken);
                }
                match container.external_ip {
                    Some(address) => self.admit_at(&mut tx, id, address, new.port, new.protocol).await?,
                    None if new.protocol == Protocol::Tcp => return Err(Error::NoAddress),
                    None => {}
                }
                quota.admit_rule(usage!(&mut *tx.inner, owner).ingress_rules)?;
                let sql = "INSERT INTO ingress_rules (container_id, port, target_port, protocol, created_at) \
                           VALUES ($1, $2, $3, $4, $5) RETURNING *";
                let query = sqlx::query(sql).bind(id.as_str()).bind(port).bind(i32::from(new.target.get()));
                let query = query.bind(new.protocol.as_str()).bind(now.naive_utc());
                let rule = rows::$rows::rule(&query.fetch_one(&mut *tx.inner).await?)?;
                self.rules_changed(&mut tx, owner, id, new.port, true).await?;
                self.remember(&mut tx, owner, idempotency, &rule.id.0.to_string(), now).await?;
                self.record(&mut tx, &Audit::done(grant.by(), Action::IngressCreate, Some(format!("{id}:{port}"))))
                    .await?;
                self.commit(tx).await?;
                Ok(rule)
            }

            async fn delete_ingress_rule(&self, grant: &Grant<Update>, port: PublicPort) -> Result<()> {
                let (owner, id) = (grant.owner(), grant.target());
                let mut tx = self.begin().await?;
                self.locked(&mut tx, owner, id).await?;
                let query = sqlx::query("DELETE FROM ingress_rules WHERE container_id = $1 AND port = $2");
                let query = query.bind(id.as_str()).bind(i32::from(port.get()));
                if query.execute(&mut *tx.inner).await?.rows_affected() == 0 {
                    return Err(Error::NotFound);
                }
                self.rules_changed(&mut tx, owner, id, port, false).await?;
                self.record(
                    &mut tx,
                    &Audit::done(grant.by(), Action::IngressDelete, Some(format!("{id}:{}", port.get()))),
                )
                .await?;
                self.commit(tx).await
            }

            async fn ssh(&self, grant: &Grant<Read>) -> Result<SshAccess> {
                let container = grant.target().to_string();
                let sql = "SELECT ssh_enabled FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL";
                let query = sqlx::query(sql).bind(&container).bind(grant.owner().to_string());
                let row = query.fetch_optional(&self.reader).await?.ok_or(Error::NotFound)?;
                let sql = "SELECT key_id FROM container_keys WHERE container_id = $1 ORDER BY key_id";
                let keys: Vec<i64> = sqlx::query_scalar(sql).bind(&container).fetch_all(&self.reader).await?;
                let keys = keys.into_iter().map(KeyId).collect();
                Ok(SshAccess { enabled: rows::get(&row, "ssh_enabled")?, keys })
            }

            async fn set_ssh(&self, grant: &Grant<Update>, enabled: bool, keys: Option<&[KeyId]>) -> Result<SshAccess> {
                let (owner, id) = (grant.owner(), grant.target());
                let mut tx = self.begin().await?;
                // No key of the owner goes before this is done.
                self.lock_user(&mut tx, owner).await?;
                let container = self.locked(&mut tx, owner, id).await?;
                let sql = "SELECT id FROM ssh_keys WHERE user_id = $1 ORDER BY id";
                let own: Vec<i64> = sqlx::query_scalar(sql).bind(owner.0).fetch_all(&mut *tx.inner).await?;
                let sql = "SELECT key_id FROM container_keys WHERE container_id = $1 ORDER BY key_id";
                let now: Vec<i64> = sqlx::query_scalar(sql).bind(id.as_str()).fetch_all(&mut *tx.inner).await?;
                let wanted: Vec<i64> = match keys {
                    Some(keys) => {
                        if let Some(unknown) = keys.iter().find(|key| !own.contains(&key.0)) {
                            return Err(Error::UnknownKey(*unknown));
                        }
                        own.into_iter().filter(|key| keys.contains(&KeyId(*key))).collect()
                    }
                    None if enabled && now.is_empty() => own,
                    None => now.clone(),
                };
                if enabled && wanted.is_empty() {
                    return Err(Error::NoKeys);
                }
                let access = SshAccess { enabled, keys: wanted.iter().copied().map(KeyId).collect() };
                if wanted == now && container.spec.ssh_enabled == enabled {
                    return Ok(access);
                }
                let query = sqlx::query("DELETE FROM container_keys WHERE container_id = $1").bind(id.as_str());
                query.execute(&mut *tx.inner).await?;
                for key in &wanted {
                    let query = sqlx::query("INSERT INTO container_keys (container_id, key_id) VALUES ($1, $2)");
                    query.bind(id.as_str()).bind(key).execute(&mut *tx.inner).await?;
                }
                let sql = "UPDATE containers SET ssh_enabled = $2, generation = generation + 1 WHERE id = $1";
                sqlx::query(sql).bind(id.as_str()).bind(enabled).execute(&mut *tx.inner).await?;
                tx.hint(Hint::Changed { id, owner });
                self.record(&mut tx, &Audit::done(grant.by(), Action::SshUpdate, Some(id.to_string()))).await?;
                self.commit(tx).await?;
                Ok(access)
            }
        }

        impl $store {
            /// The owner's row, held until the transaction ends.
            async fn locked(&self, tx: &mut Tx, owner: UserId, id: ContainerId) -> Result<Container> {
                let sql = self.for_update(
                    "SELECT * FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL",
                    "SELECT * FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL FOR UPDATE",
                );
                let query = sqlx::query(sql).bind(id.as_str()).bind(owner.to_string());
                rows::$rows::container(&query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?)
            }

            /// A new generation; a rule on 443 and `https_enabled` are one thing.
            async fn rules_changed(
                &self,
                tx: &mut Tx,
                owner: UserId,
                id: ContainerId,
                port: PublicPort,
                added: bool,
            ) -> Result<()> {
                let sql = "UPDATE containers SET generation = generation + 1, \
                           https_enabled = CASE WHEN $2 THEN $3 ELSE https_enabled END WHERE id = $1";
                let query = sqlx::query(sql).bind(id.as_str()).bind(port == PublicPort::HTTPS).bind(added);
                query.execute(&mut *tx.inner).await?;
                tx.hint(Hint::Changed { id, owner });
                Ok(())
            }
        }
    };
}

pub(crate) use implement_exposures;
