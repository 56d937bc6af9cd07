//! The verbs of [`Store`](crate::Store), written once for both databases: every statement here is SQL that both speak with the same
//! meaning. What they do not share (opening, locking, hints, migrations) is in `sqlite.rs` and `postgres.rs`.

macro_rules! implement_store {
    ($store:ty, $rows:ident) => {
        #[async_trait]
        impl Store for $store {
            async fn add_local_user(
                &self,
                username: &Username,
                is_admin: bool,
                password_hash: &str,
                now: DateTime<Utc>,
            ) -> Result<User> {
                let sql = "INSERT INTO users (username, is_admin, password_hash, created_at) VALUES ($1, $2, $3, $4) \
                           RETURNING id, username, is_admin";
                let query = sqlx::query(sql).bind(username.as_str()).bind(is_admin).bind(password_hash);
                let row = query.bind(now.naive_utc()).fetch_one(&self.writer).await;
                rows::$rows::user(&row.map_err(|error| unique(error, "username"))?)
            }

            async fn set_password(&self, username: &Username, password_hash: &str) -> Result<User> {
                let mut tx = self.begin().await?;
                let sql = "UPDATE users SET password_hash = $2 WHERE username = $1 AND password_hash IS NOT NULL \
                           RETURNING id, username, is_admin";
                let query = sqlx::query(sql).bind(username.as_str()).bind(password_hash);
                let row = query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?;
                let user = rows::$rows::user(&row)?;
                sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(user.id.0).execute(&mut *tx.inner).await?;
                tx.hint(Hint::Credentials { owner: user.id });
                self.commit(tx).await?;
                Ok(user)
            }

            async fn local_account(&self, username: &Username) -> Result<Option<LocalAccount>> {
                let sql = "SELECT id, username, is_admin, password_hash FROM users \
                           WHERE username = $1 AND password_hash IS NOT NULL";
                let row = sqlx::query(sql).bind(username.as_str()).fetch_optional(&self.reader).await?;
                let account = |row| {
                    Ok(LocalAccount { user: rows::$rows::user(&row)?, password_hash: rows::get(&row, "password_hash")? })
                };
                row.map(account).transpose()
            }

            async fn user(&self, id: UserId) -> Result<Option<User>> {
                let sql = "SELECT id, username, is_admin FROM users WHERE id = $1";
                let row = sqlx::query(sql).bind(id.0).fetch_optional(&self.reader).await?;
                row.map(|row| rows::$rows::user(&row)).transpose()
            }

            async fn provision_user(
                &self,
                subject: &str,
                id: Option<UserId>,
                username: &Username,
                now: DateTime<Utc>,
            ) -> Result<User> {
                let known = "SELECT id, username, is_admin FROM users WHERE subject = $1";
                if let Some(row) = sqlx::query(known).bind(subject).fetch_optional(&self.reader).await? {
                    return rows::$rows::user(&row);
                }
                let mut tx = self.begin().await?;
                self.lock_users(&mut tx).await?;
                if let Some(row) = sqlx::query(known).bind(subject).fetch_optional(&mut *tx.inner).await? {
                    return rows::$rows::user(&row);
                }
                if let Some(id) = id {
                    let taken = sqlx::query("SELECT id FROM users WHERE id = $1").bind(id.0);
                    if taken.fetch_optional(&mut *tx.inner).await?.is_some() {
                        return Err(Error::Conflict { field: "user_id" });
                    }
                }
                let name = self.free_username(&mut tx, username).await?;
                let row = match id {
                    Some(id) => {
                        let sql = "INSERT INTO users (id, subject, username, created_at) VALUES ($1, $2, $3, $4) \
                                   RETURNING id, username, is_admin";
                        sqlx::query(sql).bind(id.0).bind(subject).bind(name).bind(now.naive_utc())
                    }
                    None => {
                        let sql = "INSERT INTO users (subject, username, created_at) VALUES ($1, $2, $3) \
                                   RETURNING id, username, is_admin";
                        sqlx::query(sql).bind(subject).bind(name).bind(now.naive_utc())
                    }
                };
                let row = row.fetch_one(&mut *tx.inner).await?;
                let user = rows::$rows::user(&row)?;
                self.after_explicit_id(&mut tx).await?;
                self.commit(tx).await?;
                Ok(user)
            }

            async fn count_users(&self) -> Result<i64> {
                Ok(sqlx::query_scalar("SELECT COUNT(*) FROM users").fetch_one(&self.reader).await?)
            }

            async fn add_session(&self, session: &Session) -> Result<()> {
                let sql = "INSERT INTO sessions (hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)";
                let query = sqlx::query(sql).bind(rows::hex(&session.hash)).bind(session.user.0);
                let query = query.bind(session.created_at.naive_utc()).bind(session.expires_at.naive_utc());
                query.execute(&self.writer).await?;
                Ok(())
            }

            async fn session(&self, hash: &SecretHash, now: DateTime<Utc>) -> Result<Option<(User, Session)>> {
                let sql = "SELECT u.id, u.username, u.is_admin, s.created_at, s.expires_at FROM sessions s \
                           JOIN users u ON u.id = s.user_id WHERE s.hash = $1 AND s.expires_at > $2";
                let query = sqlx::query(sql).bind(rows::hex(hash)).bind(now.naive_utc());
                let found = |row| {
                    let user = rows::$rows::user(&row)?;
                    let when = |column| Ok::<_, Error>(rows::get::<NaiveDateTime, _>(&row, column)?.and_utc());
                    let (created_at, expires_at) = (when("created_at")?, when("expires_at")?);
                    let session = Session { hash: hash.clone(), user: user.id, created_at, expires_at };
                    Ok((user, session))
                };
                query.fetch_optional(&self.reader).await?.map(found).transpose()
            }

            async fn end_session(&self, hash: &SecretHash) -> Result<()> {
                let mut tx = self.begin().await?;
                let query = sqlx::query("DELETE FROM sessions WHERE hash = $1 RETURNING user_id").bind(rows::hex(hash));
                if let Some(row) = query.fetch_optional(&mut *tx.inner).await? {
                    tx.hint(Hint::Credentials { owner: UserId(rows::get(&row, "user_id")?) });
                }
                self.commit(tx).await
            }

            async fn add_api_token(&self, grant: &AccountGrant<ManageTokens>, token: &NewApiToken) -> Result<ApiToken> {
                self.add_operator_token(grant.user().id, token).await
            }

            async fn add_operator_token(&self, user: UserId, token: &NewApiToken) -> Result<ApiToken> {
                let scopes = token.scopes.as_ref().map(|scopes| rows::encode(&scopes.to_map())).transpose()?;
                let sql = "INSERT INTO api_tokens (user_id, name, hash, scopes, created_at, expires_at) \
                           VALUES ($1, $2, $3, $4, $5, $6) RETURNING id AS token_id, name AS token_name, scopes, \
                           created_at AS token_created_at, expires_at, revoked_at";
                let query = sqlx::query(sql).bind(user.0).bind(&token.name).bind(rows::hex(&token.hash)).bind(scopes);
                let query = query.bind(token.created_at.naive_utc()).bind(token.expires_at.map(|at| at.naive_utc()));
                let row = query.fetch_one(&self.writer).await.map_err(|error| unique(error, "name"))?;
                rows::$rows::token(&row)
            }

            async fn api_tokens(&self, grant: &AccountGrant<ManageTokens>) -> Result<Vec<ApiToken>> {
                let sql = "SELECT id AS token_id, name AS token_name, scopes, created_at AS token_created_at, expires_at, \
                           revoked_at FROM api_tokens WHERE user_id = $1 AND revoked_at IS NULL ORDER BY id DESC";
                let found = sqlx::query(sql).bind(grant.user().id.0).fetch_all(&self.reader).await?;
                found.iter().map(rows::$rows::token).collect()
            }

            async fn revoke_api_token(
                &self,
                grant: &AccountGrant<ManageTokens>,
                id: TokenId,
                now: DateTime<Utc>,
            ) -> Result<()> {
                let mut tx = self.begin().await?;
                let sql = "UPDATE api_tokens SET revoked_at = $3 WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL";
                let owner = grant.user().id;
                let query = sqlx::query(sql).bind(id.0).bind(owner.0).bind(now.naive_utc());
                if query.execute(&mut *tx.inner).await?.rows_affected() == 0 {
                    return Err(Error::NotFound);
                }
                tx.hint(Hint::Credentials { owner });
                self.commit(tx).await
            }

            async fn credential(&self, hash: &SecretHash) -> Result<Option<Credential>> {
                let sql = "SELECT u.id, u.username, u.is_admin, t.id AS token_id, t.name AS token_name, t.scopes, \
                           t.created_at AS token_created_at, t.expires_at, t.revoked_at \
                           FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1";
                let row = sqlx::query(sql).bind(rows::hex(hash)).fetch_optional(&self.reader).await?;
                let found = |row| Ok(Credential { user: rows::$rows::user(&row)?, token: rows::$rows::token(&row)? });
                row.map(found).transpose()
            }

            async fn create_container(
                &self,
                grant: &AccountGrant<CreateContainer>,
                new: &NewContainer,
                quota: &Quota,
                key: Option<&IdempotencyKey>,
            ) -> Result<Created> {
                let owner = grant.user();
                let user_id = owner.id.to_string();
                let mut tx = self.begin().await?;
                self.lock_user(&mut tx, owner.id).await?;
                if let Some(key) = key {
                    let sql = "SELECT request, container_id FROM idempotency WHERE user_id = $1 AND key = $2";
                    let query = sqlx::query(sql).bind(owner.id.0).bind(&key.key);
                    if let Some(row) = query.fetch_optional(&mut *tx.inner).await? {
                        if rows::get::<String, _>(&row, "request")? != rows::hex(&key.request) {
                            return Err(Error::IdempotencyMismatch);
                        }
                        let sql = "SELECT * FROM containers WHERE id = $1 AND deleted_at IS NULL";
                        let query = sqlx::query(sql).bind(rows::get::<String, _>(&row, "container_id")?);
                        let row = query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?;
                        return Ok(Created::Replayed(rows::$rows::container(&row)?));
                    }
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
                let observed = Observed::default();
                let status = status(Desired::Running, &observed);
                let sql = "INSERT INTO containers (id, user_id, owner_username, name, namespace, image, pull_policy, \
                           instance_type, memory_mb, storage_gb, mount_paths, ssh_enabled, created_at, desired, generation, \
                           observed, status, transition, reason, message) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
                           $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) RETURNING *";
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
                    .bind(status.message);
                let row = query.fetch_one(&mut *tx.inner).await.map_err(|error| match unique(error, "id") {
                    Error::Conflict { .. } => Error::IdTaken,
                    other => other,
                })?;
                let container = rows::$rows::container(&row)?;
                for key in &new.keys {
                    let query = sqlx::query("INSERT INTO container_keys (container_id, key_id) VALUES ($1, $2)");
                    query.bind(new.id.as_str()).bind(key.0).execute(&mut *tx.inner).await?;
                }
                if let Some(key) = key {
                    let sql = "INSERT INTO idempotency (user_id, key, request, container_id, created_at) \
                               VALUES ($1, $2, $3, $4, $5)";
                    let query = sqlx::query(sql).bind(owner.id.0).bind(&key.key).bind(rows::hex(&key.request));
                    let query = query.bind(new.id.as_str()).bind(new.created_at.naive_utc());
                    query.execute(&mut *tx.inner).await?;
                }
                tx.hint(Hint::Listed { id: new.id, owner: owner.id });
                self.commit(tx).await?;
                Ok(Created::New(container))
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
                self.want(grant.owner(), grant.target(), Desired::Running, None).await
            }

            async fn stop(&self, grant: &Grant<Stop>, now: DateTime<Utc>) -> Result<Container> {
                self.want(grant.owner(), grant.target(), Desired::Stopped, Some(now)).await
            }

            async fn delete(&self, grant: &Grant<Delete>, now: DateTime<Utc>) -> Result<()> {
                self.want(grant.owner(), grant.target(), Desired::Deleted, Some(now)).await.map(drop)
            }

            async fn all_containers(&self, _grant: &AccountGrant<Administer>) -> Result<Vec<Container>> {
                let sql = "SELECT * FROM containers WHERE deleted_at IS NULL ORDER BY created_at DESC, id DESC";
                sqlx::query(sql).fetch_all(&self.reader).await?.iter().map(rows::$rows::container).collect()
            }

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
                           memory_used_mb = $7 WHERE id = $1";
                let query = sqlx::query(sql).bind(id.to_string()).bind(rows::encode(observed)?);
                let query = query.bind(status.phase.as_str()).bind(status.transition.map(Transition::as_str));
                let query = query.bind(status.reason.map(Reason::as_str)).bind(&status.message).bind(memory);
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

            async fn remove_row(&self, id: ContainerId) -> Result<()> {
                let sql = "DELETE FROM containers WHERE id = $1 AND desired = 'deleted'";
                let done = sqlx::query(sql).bind(id.to_string()).execute(&self.writer).await?;
                if done.rows_affected() == 1 { Ok(()) } else { Err(Error::NotFound) }
            }

            async fn audit(&self, entry: &Audit) -> Result<()> {
                let sql = "INSERT INTO audit_log (at, user_id, username, action, target, origin, outcome, request_id) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
                let query = sqlx::query(sql).bind(entry.at.naive_utc()).bind(entry.user.map(|user| user.0));
                let query = query.bind(entry.username.as_ref().map(Username::as_str)).bind(entry.action);
                let query = query.bind(&entry.target).bind(&entry.from).bind(entry.outcome).bind(&entry.request_id);
                query.execute(&self.writer).await?;
                Ok(())
            }

            async fn sweep_expired(&self, now: DateTime<Utc>) -> Result<()> {
                let mut tx = self.begin().await?;
                let query = sqlx::query("DELETE FROM sessions WHERE expires_at <= $1").bind(now.naive_utc());
                query.execute(&mut *tx.inner).await?;
                let old = now - chrono::TimeDelta::hours(24);
                let query = sqlx::query("DELETE FROM idempotency WHERE created_at <= $1").bind(old.naive_utc());
                query.execute(&mut *tx.inner).await?;
                self.commit(tx).await
            }

            fn hints(&self) -> Hints {
                self.hub.subscribe()
            }

            async fn ping(&self) -> Result<()> {
                sqlx::query("SELECT 1").execute(&self.reader).await?;
                Ok(())
            }
        }

        impl $store {
            /// Writes an intent: one more generation, and the status that follows.
            async fn want(
                &self,
                owner: UserId,
                id: ContainerId,
                desired: Desired,
                now: Option<DateTime<Utc>>,
            ) -> Result<Container> {
                let mut tx = self.begin().await?;
                let sql = self.for_update(
                    "SELECT * FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL",
                    "SELECT * FROM containers WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL FOR UPDATE",
                );
                let query = sqlx::query(sql).bind(id.to_string()).bind(owner.to_string());
                let row = query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?;
                let container = rows::$rows::container(&row)?;
                if container.desired == desired {
                    return Ok(container);
                }
                let status = status(desired, &container.observed);
                let deleted_at = now.filter(|_| desired == Desired::Deleted).map(|at| at.naive_utc());
                let stopped_at = now.map(|at| at.naive_utc());
                let sql = "UPDATE containers SET desired = $2, generation = generation + 1, status = $3, transition = $4, \
                           reason = $5, message = $6, stopped_at = $7, deleted_at = $8, memory_used_mb = NULL \
                           WHERE id = $1 RETURNING *";
                let query = sqlx::query(sql).bind(id.to_string()).bind(desired.as_str()).bind(status.phase.as_str());
                let query = query.bind(status.transition.map(Transition::as_str));
                let query = query.bind(status.reason.map(Reason::as_str)).bind(status.message);
                let row = query.bind(stopped_at).bind(deleted_at).fetch_one(&mut *tx.inner).await?;
                tx.hint(match desired {
                    Desired::Deleted => Hint::Listed { id, owner },
                    Desired::Running | Desired::Stopped => Hint::Changed { id, owner },
                });
                self.commit(tx).await?;
                rows::$rows::container(&row)
            }

            /// `name`, or `name-2`, `name-3`, … where others hold it.
            async fn free_username(&self, tx: &mut Tx, name: &Username) -> Result<String> {
                let mut candidate = name.as_str().to_owned();
                for suffix in 2..1000 {
                    let query = sqlx::query("SELECT id FROM users WHERE username = $1").bind(&candidate);
                    if query.fetch_optional(&mut *tx.inner).await?.is_none() {
                        return Ok(candidate);
                    }
                    candidate = format!("{name}-{suffix}");
                }
                Err(Error::Conflict { field: "username" })
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

/// What the verbs name; one place for both databases.
macro_rules! store_prelude {
    () => {
        use async_trait::async_trait;
        use berth_core::access::{
            AccountGrant, Administer, CreateContainer, Delete, Grant, ListContainers, ManageTokens, Read, Start, Stop,
        };
        use berth_core::container::Container;
        use berth_core::id::{ContainerId, Generation, TokenId, UserId};
        use berth_core::lifecycle::{Desired, Observed, Phase, Reason, Transition, status};
        use berth_core::name::Username;
        use berth_core::names::Names;
        use berth_core::quota::{Quota, Usage};
        use berth_core::user::User;
        use chrono::{DateTime, NaiveDateTime, Utc};

        use crate::error::unique;
        use crate::hint::Hub;
        use crate::rows;
        use crate::{
            ApiToken, Audit, Created, Credential, Error, Hint, Hints, IdempotencyKey, LocalAccount, NewApiToken,
            NewContainer, Result, SecretHash, Session, Store,
        };
    };
}

pub(crate) use {implement_store, store_prelude, usage};
