//! The verbs of [`Store`](crate::Store), written once for both databases: every statement here is SQL that both speak with the same
//! meaning. What they do not share (opening, locking, hints, migrations) is in `sqlite.rs` and `postgres.rs`. One file a part
//! of the contract, and the part has the same name there.

mod accounts;
mod containers;
mod reconcile;

pub(crate) use accounts::implement_accounts;
pub(crate) use containers::{implement_containers, usage};
pub(crate) use reconcile::implement_reconcile;

macro_rules! implement_store {
    ($store:ty, $rows:ident) => {
        implement_accounts!($store, $rows);
        implement_containers!($store, $rows);
        implement_reconcile!($store, $rows);

        #[async_trait]
        impl Store for $store {
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
    };
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
        use berth_core::isolation::Isolation;
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
            Accounts, ApiToken, Audit, Containers, Created, Credential, Error, Hint, Hints, IdempotencyKey,
            LocalAccount, NewApiToken, NewContainer, Reconcile, Result, Running, SecretHash, Session, Store,
        };
    };
}

pub(crate) use {implement_store, store_prelude};
