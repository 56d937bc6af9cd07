//! The verbs of [`Store`](crate::Store), written once for both databases: every statement here is SQL that both speak with the same
//! meaning. What they do not share (opening, locking, hints, migrations) is in `sqlite.rs` and `postgres.rs`. One file a part
//! of the contract, and the part has the same name there.

mod accounts;
mod addresses;
mod containers;
mod exposures;
mod idempotency;
mod keys;
mod people;
mod reconcile;
mod settings;
mod timelines;

pub(crate) use accounts::implement_accounts;
pub(crate) use addresses::implement_addresses;
pub(crate) use containers::{implement_containers, usage};
pub(crate) use exposures::implement_exposures;
pub(crate) use idempotency::implement_idempotency;
pub(crate) use keys::implement_keys;
pub(crate) use people::implement_people;
pub(crate) use reconcile::implement_reconcile;
pub(crate) use settings::implement_settings;
pub(crate) use timelines::implement_timelines;

macro_rules! implement_store {
    ($store:ty, $rows:ident) => {
        implement_accounts!($store, $rows);
        implement_addresses!($store, $rows);
        implement_containers!($store, $rows);
        implement_exposures!($store, $rows);
        implement_idempotency!($store, $rows);
        implement_keys!($store, $rows);
        implement_people!($store, $rows);
        implement_reconcile!($store, $rows);
        implement_settings!($store, $rows);
        implement_timelines!($store, $rows);

        #[async_trait]
        impl Store for $store {
            async fn audit(&self, entry: &Audit) -> Result<()> {
                let mut tx = self.begin().await?;
                self.record(&mut tx, entry).await?;
                self.commit(tx).await
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
        use std::collections::HashMap;
        use std::net::IpAddr;

        use async_trait::async_trait;
        use berth_core::access::{
            AccountGrant, Administer, CreateContainer, CreateKey, Delete, DeleteKey, Grant, ListContainers, ListKeys,
            ManageTokens, Read, Start, Stop, Update,
        };
        use berth_core::address::Addresses;
        use berth_core::audit::{Action, By, Origin, Outcome};
        use berth_core::connection::Connection;
        use berth_core::container::Container;
        use berth_core::exposure::{AcceptedKey, Exposure};
        use berth_core::id::{ContainerId, Generation, KeyId, TokenId, UserId};
        use berth_core::ingress::{NewRule, Protocol, PublicPort, Rule};
        use berth_core::isolation::Isolation;
        use berth_core::key::SshKey;
        use berth_core::lifecycle::{Desired, Observed, Phase, Reason, Transition, status};
        use berth_core::mount::MountPaths;
        use berth_core::name::Username;
        use berth_core::names::Names;
        use berth_core::pull_policy::PullPolicy;
        use berth_core::quota::{Quota, Usage};
        use berth_core::registry::ImageDigest;
        use berth_core::timeline::{Entry, KEPT};
        use berth_core::user::User;
        use chrono::{DateTime, NaiveDateTime, Utc};

        use crate::error::unique;
        use crate::hint::Hub;
        use crate::rows;
        use crate::{
            Accounts, ApiToken, Audit, AuditFilter, AuditLine, Containers, Created, Credential, Error, Exposures, Hint,
            Hints, IdempotencyKey, Keys, LocalAccount, NewApiToken, NewContainer, NewSshKey, OutsideUser, People,
            Person, Reconcile, Remounted, Result, Running, SecretHash, Session, Settings, SshAccess, Store, Timelines,
            Told,
        };
    };
}

pub(crate) use {implement_store, store_prelude};
