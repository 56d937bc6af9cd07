//! What administrators see and do, and the two things that every verb shares: the audit log and the user's row.

macro_rules! implement_people {
    ($store:ty, $rows:ident) => {
        #[async_trait]
        impl People for $store {
            async fn users(&self, _grant: &AccountGrant<Administer>) -> Result<Vec<Person>> {
                let sql = "SELECT u.*, (SELECT COUNT(*) FROM containers c WHERE c.user_id = CAST(u.id AS TEXT) \
                           AND c.deleted_at IS NULL) AS containers FROM users u ORDER BY u.id";
                sqlx::query(sql).fetch_all(&self.reader).await?.iter().map(rows::$rows::person).collect()
            }

            async fn set_suspended(
                &self,
                grant: &AccountGrant<Administer>,
                user: UserId,
                suspended: bool,
            ) -> Result<Person> {
                let mut tx = self.begin().await?;
                let person = self.person(&mut tx, user).await?;
                if person.suspended_at.is_some() == suspended {
                    return Ok(person);
                }
                let by = grant.by();
                let now = by.origin.at.naive_utc();
                let query = sqlx::query("UPDATE users SET suspended_at = $2 WHERE id = $1").bind(user.0);
                query.bind(suspended.then_some(now)).execute(&mut *tx.inner).await?;
                let action = if suspended { Action::UserSuspend } else { Action::UserUnsuspend };
                self.record(&mut tx, &Audit::done(by, action, Some(user.to_string()))).await?;
                if suspended {
                    self.end_credentials(&mut tx, user, now).await?;
                    self.stop_containers(&mut tx, by, user).await?;
                }
                let person = self.person(&mut tx, user).await?;
                self.commit(tx).await?;
                Ok(person)
            }

            async fn record_connections(&self, ended: &[Connection]) -> Result<()> {
                let mut tx = self.begin().await?;
                for one in ended {
                    let (user, name) = one.user.as_ref().map(|(id, name)| (id.0, name.as_str())).unzip();
                    let detail = serde_json::json!({
                        "key": one.key, "duration_ms": one.lasted.num_milliseconds(),
                        "bytes_in": one.bytes_in, "bytes_out": one.bytes_out,
                    });
                    let sql = "INSERT INTO audit_log (at, user_id, username, action, target, origin, outcome, \
                               request_id, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
                    let query = sqlx::query(sql).bind(one.started.naive_utc()).bind(user).bind(name);
                    let query = query.bind(one.spoken.action().as_str()).bind(one.container.to_string());
                    let query = query.bind(one.from.to_string()).bind(Outcome::Ok.as_str());
                    query.bind(one.id.to_string()).bind(detail.to_string()).execute(&mut *tx.inner).await?;
                }
                self.commit(tx).await
            }

            async fn audit_lines(
                &self,
                _grant: &AccountGrant<Administer>,
                filter: &AuditFilter,
                limit: u32,
            ) -> Result<Vec<AuditLine>> {
                let AuditFilter { before, user, action, target, since, until } = filter;
                let mut query = sqlx::QueryBuilder::<Database>::new("SELECT * FROM audit_log WHERE id < ");
                query.push_bind(before.unwrap_or(i64::MAX));
                if let Some(user) = user {
                    query.push(" AND (username = ").push_bind(user.clone());
                    if let Ok(id) = user.parse::<i64>() {
                        query.push(" OR user_id = ").push_bind(id);
                    }
                    query.push(")");
                }
                if let Some(action) = action {
                    query.push(" AND action = ").push_bind(action.as_str());
                }
                if let Some(target) = target {
                    query.push(" AND target = ").push_bind(target.clone());
                }
                if let Some(since) = since {
                    query.push(" AND at >= ").push_bind(since.naive_utc());
                }
                if let Some(until) = until {
                    query.push(" AND at < ").push_bind(until.naive_utc());
                }
                query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(limit));
                query.build().fetch_all(&self.reader).await?.iter().map(rows::$rows::audit_line).collect()
            }
        }

        impl $store {
            /// Writes a line as part of the change that it tells of: they are kept or lost together.
            async fn record(&self, tx: &mut Tx, line: &Audit) -> Result<()> {
                let Audit { at, user, username, action, target, from, outcome, request_id } = line;
                let sql = "INSERT INTO audit_log (at, user_id, username, action, target, origin, outcome, request_id) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
                let query = sqlx::query(sql).bind(at.naive_utc()).bind(user.map(|user| user.0));
                let query = query.bind(username.as_ref().map(Username::as_str)).bind(action.as_str()).bind(target);
                query.bind(from).bind(outcome.as_str()).bind(request_id).execute(&mut *tx.inner).await?;
                Ok(())
            }

            /// Holds the user's row until the end of the transaction. Parallel creates of one user queue here, so that each
            /// counts the ones before it; and a request that was let in before a suspension changes nothing after it.
            async fn lock_user(&self, tx: &mut Tx, user: UserId) -> Result<()> {
                let sql = self.for_update(
                    "SELECT suspended_at FROM users WHERE id = $1",
                    "SELECT suspended_at FROM users WHERE id = $1 FOR UPDATE",
                );
                let row = sqlx::query(sql).bind(user.0).fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?;
                match rows::get::<Option<NaiveDateTime>, _>(&row, "suspended_at")? {
                    None => Ok(()),
                    Some(_) => Err(Error::Suspended),
                }
            }

            /// One user, whose row is held until the end of the transaction.
            async fn person(&self, tx: &mut Tx, user: UserId) -> Result<Person> {
                let sql = self.for_update(
                    "SELECT u.*, (SELECT COUNT(*) FROM containers c WHERE c.user_id = $2 AND c.deleted_at IS NULL) \
                     AS containers FROM users u WHERE u.id = $1",
                    "SELECT u.*, (SELECT COUNT(*) FROM containers c WHERE c.user_id = $2 AND c.deleted_at IS NULL) \
                     AS containers FROM users u WHERE u.id = $1 FOR UPDATE OF u",
                );
                let query = sqlx::query(sql).bind(user.0).bind(user.to_string());
                rows::$rows::person(&query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?)
            }

            async fn end_credentials(&self, tx: &mut Tx, user: UserId, now: NaiveDateTime) -> Result<()> {
                sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(user.0).execute(&mut *tx.inner).await?;
                let sql = "UPDATE api_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
                sqlx::query(sql).bind(user.0).bind(now).execute(&mut *tx.inner).await?;
                tx.hint(Hint::Credentials { owner: user });
                Ok(())
            }

            async fn stop_containers(&self, tx: &mut Tx, by: &By, user: UserId) -> Result<()> {
                let sql = self.for_update(
                    "SELECT * FROM containers WHERE user_id = $1 AND desired = 'running' ORDER BY id",
                    "SELECT * FROM containers WHERE user_id = $1 AND desired = 'running' ORDER BY id FOR UPDATE",
                );
                for row in sqlx::query(sql).bind(user.to_string()).fetch_all(&mut *tx.inner).await? {
                    let container = rows::$rows::container(&row)?;
                    self.write_desired(tx, by, &container, Desired::Stopped, Some(by.origin.at)).await?;
                    self.record(tx, &Audit::done(by, Action::ContainerStop, Some(container.id.to_string()))).await?;
                }
                Ok(())
            }
        }
    };
}

pub(crate) use implement_people;
