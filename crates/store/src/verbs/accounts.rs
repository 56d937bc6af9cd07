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
        }

        impl $store {
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
