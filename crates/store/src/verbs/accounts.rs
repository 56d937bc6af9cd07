//! Users and what proves who they are.

macro_rules! implement_accounts {
    ($store:ty, $rows:ident) => {
        #[async_trait]
        impl Accounts for $store {
            async fn add_local_user(
                &self,
                username: &Username,
                is_admin: bool,
                password_hash: &str,
                now: DateTime<Utc>,
            ) -> Result<User> {
                let sql = "INSERT INTO users (username, is_admin, password_hash, created_at) VALUES ($1, $2, $3, $4) \
                           RETURNING id, username, is_admin, subject";
                let mut tx = self.begin().await?;
                let query = sqlx::query(sql).bind(username.as_str()).bind(is_admin).bind(password_hash);
                let row = query.bind(now.naive_utc()).fetch_one(&mut *tx.inner).await;
                let user = rows::$rows::user(&row.map_err(|error| unique(error, "username"))?)?;
                let line = Audit::operator(now, Action::UserCreate, Some(user.id.to_string()));
                self.record(&mut tx, &line).await?;
                self.commit(tx).await?;
                Ok(user)
            }

            async fn set_password(
                &self,
                username: &Username,
                password_hash: &str,
                now: DateTime<Utc>,
            ) -> Result<User> {
                let mut tx = self.begin().await?;
                let sql = "UPDATE users SET password_hash = $2 WHERE username = $1 AND password_hash IS NOT NULL \
                           RETURNING id, username, is_admin, subject";
                let query = sqlx::query(sql).bind(username.as_str()).bind(password_hash);
                let row = query.fetch_optional(&mut *tx.inner).await?.ok_or(Error::NotFound)?;
                let user = rows::$rows::user(&row)?;
                sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(user.id.0).execute(&mut *tx.inner).await?;
                let line = Audit::operator(now, Action::Password, Some(user.id.to_string()));
                self.record(&mut tx, &line).await?;
                tx.hint(Hint::Credentials { owner: user.id });
                self.commit(tx).await?;
                Ok(user)
            }

            async fn local_account(&self, username: &Username) -> Result<Option<LocalAccount>> {
                let sql = "SELECT id, username, is_admin, subject, password_hash FROM users \
                           WHERE username = $1 AND password_hash IS NOT NULL";
                let row = sqlx::query(sql).bind(username.as_str()).fetch_optional(&self.reader).await?;
                let account = |row| {
                    Ok(LocalAccount { user: rows::$rows::user(&row)?, password_hash: rows::get(&row, "password_hash")? })
                };
                row.map(account).transpose()
            }

            async fn user(&self, id: UserId) -> Result<Option<User>> {
                let sql = "SELECT id, username, is_admin, subject FROM users WHERE id = $1";
                let row = sqlx::query(sql).bind(id.0).fetch_optional(&self.reader).await?;
                row.map(|row| rows::$rows::user(&row)).transpose()
            }

            async fn provision_user(&self, seen: OutsideUser<'_>, origin: &Origin) -> Result<User> {
                let OutsideUser { subject, id, username, is_admin } = seen;
                let known = "SELECT id, username, is_admin, subject, suspended_at FROM users WHERE subject = $1";
                let found = sqlx::query(known).bind(subject).fetch_optional(&self.reader).await?;
                if let Some(user) = found.map(|row| self.unsuspended(&row)).transpose()? {
                    if is_admin.is_none_or(|wanted| wanted == user.is_admin) {
                        return Ok(user);
                    }
                }
                let mut tx = self.begin().await?;
                self.lock_users(&mut tx).await?;
                let found = sqlx::query(known).bind(subject).fetch_optional(&mut *tx.inner).await?;
                let user = match found.map(|row| self.unsuspended(&row)).transpose()? {
                    Some(user) => user,
                    None => self.add_outside_user(&mut tx, subject, id, username, origin).await?,
                };
                let user = self.set_admin(&mut tx, user, is_admin, origin).await?;
                self.commit(tx).await?;
                Ok(user)
            }

            async fn count_users(&self) -> Result<i64> {
                Ok(sqlx::query_scalar("SELECT COUNT(*) FROM users").fetch_one(&self.reader).await?)
            }

            async fn add_session(&self, by: &By, session: &Session) -> Result<()> {
                let mut tx = self.begin().await?;
                self.lock_user(&mut tx, session.user).await?;
                let sql = "INSERT INTO sessions (hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)";
                let query = sqlx::query(sql).bind(rows::hex(&session.hash)).bind(session.user.0);
                let query = query.bind(session.created_at.naive_utc()).bind(session.expires_at.naive_utc());
                query.execute(&mut *tx.inner).await?;
                self.record(&mut tx, &Audit::done(by, Action::Login, None)).await?;
                self.commit(tx).await
            }

            async fn session(&self, hash: &SecretHash, now: DateTime<Utc>) -> Result<Option<(User, Session)>> {
                let sql = "SELECT u.id, u.username, u.is_admin, u.subject, s.created_at, s.expires_at FROM sessions s \
                           JOIN users u ON u.id = s.user_id WHERE s.hash = $1 AND s.expires_at > $2 AND u.suspended_at IS NULL";
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

            async fn end_session(&self, by: &By, hash: &SecretHash) -> Result<()> {
                let mut tx = self.begin().await?;
                let query = sqlx::query("DELETE FROM sessions WHERE hash = $1 AND user_id = $2").bind(rows::hex(hash));
                if query.bind(by.user.id.0).execute(&mut *tx.inner).await?.rows_affected() > 0 {
                    self.record(&mut tx, &Audit::done(by, Action::Logout, None)).await?;
                    tx.hint(Hint::Credentials { owner: by.user.id });
                }
                self.commit(tx).await
            }

            async fn add_api_token(&self, grant: &AccountGrant<ManageTokens>, token: &NewApiToken) -> Result<ApiToken> {
                let mut tx = self.begin().await?;
                let token = self.insert_token(&mut tx, grant.user().id, token).await?;
                let line = Audit::done(grant.by(), Action::TokenCreate, Some(token.id.to_string()));
                self.record(&mut tx, &line).await?;
                self.commit(tx).await?;
                Ok(token)
            }

            async fn add_operator_token(&self, user: UserId, token: &NewApiToken) -> Result<ApiToken> {
                let mut tx = self.begin().await?;
                let created_at = token.created_at;
                let token = self.insert_token(&mut tx, user, token).await?;
                let line = Audit::operator(created_at, Action::TokenCreate, Some(token.id.to_string()));
                self.record(&mut tx, &line).await?;
                self.commit(tx).await?;
                Ok(token)
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
                self.record(&mut tx, &Audit::done(grant.by(), Action::TokenRevoke, Some(id.to_string()))).await?;
                tx.hint(Hint::Credentials { owner });
                self.commit(tx).await
            }

            async fn credential(&self, hash: &SecretHash) -> Result<Option<Credential>> {
                let sql = "SELECT u.id, u.username, u.is_admin, u.subject, t.id AS token_id, t.name AS token_name, t.scopes, \
                           t.created_at AS token_created_at, t.expires_at, t.revoked_at \
                           FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1 AND u.suspended_at IS NULL";
                let row = sqlx::query(sql).bind(rows::hex(hash)).fetch_optional(&self.reader).await?;
                let found = |row| Ok(Credential { user: rows::$rows::user(&row)?, token: rows::$rows::token(&row)? });
                row.map(found).transpose()
            }
        }

        impl $store {
            async fn insert_token(&self, tx: &mut Tx, user: UserId, token: &NewApiToken) -> Result<ApiToken> {
                self.lock_user(tx, user).await?;
                let scopes = token.scopes.as_ref().map(|scopes| rows::encode(&scopes.to_map())).transpose()?;
                let sql = "INSERT INTO api_tokens (user_id, name, hash, scopes, created_at, expires_at) \
                           VALUES ($1, $2, $3, $4, $5, $6) RETURNING id AS token_id, name AS token_name, scopes, \
                           created_at AS token_created_at, expires_at, revoked_at";
                let query = sqlx::query(sql).bind(user.0).bind(&token.name).bind(rows::hex(&token.hash)).bind(scopes);
                let query = query.bind(token.created_at.naive_utc()).bind(token.expires_at.map(|at| at.naive_utc()));
                let row = query.fetch_one(&mut *tx.inner).await.map_err(|error| unique(error, "name"))?;
                rows::$rows::token(&row)
            }

            fn unsuspended(&self, row: &<Database as sqlx::Database>::Row) -> Result<User> {
                match rows::get::<Option<NaiveDateTime>, _>(row, "suspended_at")? {
                    None => rows::$rows::user(row),
                    Some(_) => Err(Error::Suspended),
                }
            }

            async fn add_outside_user(
                &self,
                tx: &mut Tx,
                subject: &str,
                id: Option<UserId>,
                username: &Username,
                origin: &Origin,
            ) -> Result<User> {
                if let Some(id) = id {
                    let taken = sqlx::query("SELECT id FROM users WHERE id = $1").bind(id.0);
                    if taken.fetch_optional(&mut *tx.inner).await?.is_some() {
                        return Err(Error::Conflict { field: "user_id" });
                    }
                }
                let name = self.free_username(tx, username).await?;
                let now = origin.at.naive_utc();
                let row = match id {
                    Some(id) => {
                        let sql = "INSERT INTO users (id, subject, username, created_at) VALUES ($1, $2, $3, $4) \
                                   RETURNING id, username, is_admin, subject";
                        sqlx::query(sql).bind(id.0).bind(subject).bind(name).bind(now)
                    }
                    None => {
                        let sql = "INSERT INTO users (subject, username, created_at) VALUES ($1, $2, $3) \
                                   RETURNING id, username, is_admin, subject";
                        sqlx::query(sql).bind(subject).bind(name).bind(now)
                    }
                };
                let user = rows::$rows::user(&row.fetch_one(&mut *tx.inner).await?)?;
                self.after_explicit_id(tx).await?;
                let by = By { user, origin: origin.clone() };
                self.record(tx, &Audit::done(&by, Action::UserCreate, Some(by.user.id.to_string()))).await?;
                Ok(by.user)
            }

            async fn set_admin(
                &self,
                tx: &mut Tx,
                user: User,
                is_admin: Option<bool>,
                origin: &Origin,
            ) -> Result<User> {
                let Some(is_admin) = is_admin.filter(|wanted| *wanted != user.is_admin) else { return Ok(user) };
                let query = sqlx::query("UPDATE users SET is_admin = $2 WHERE id = $1").bind(user.id.0);
                query.bind(is_admin).execute(&mut *tx.inner).await?;
                let action = if is_admin { Action::UserPromote } else { Action::UserDemote };
                let by = By { user: User { is_admin, ..user }, origin: origin.clone() };
                self.record(tx, &Audit::done(&by, action, Some(by.user.id.to_string()))).await?;
                tx.hint(Hint::Credentials { owner: by.user.id });
                Ok(by.user)
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

pub(crate) use implement_accounts;
