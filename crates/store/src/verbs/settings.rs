//! Settings of a container that can change during its life.

macro_rules! implement_settings {
    ($store:ty, $rows:ident) => {
        #[async_trait]
        impl Settings for $store {
            async fn set_mounts(&self, grant: &Grant<Update>, mounts: &MountPaths) -> Result<Remounted> {
                let (owner, id) = (grant.owner(), grant.target());
                let mut tx = self.begin().await?;
                let mut container = self.locked(&mut tx, owner, id).await?;
                if container.spec.mounts.same_as(mounts) {
                    return Ok(Remounted { mounts: container.spec.mounts, restarted: false });
                }
                if let Some(pod) = &mut container.observed.pod {
                    pod.outdated = true;
                }
                let status = status(container.desired, &container.observed);
                let sql = "UPDATE containers SET mount_paths = $2, generation = generation + 1, \
                           restart_generation = generation + 1, observed = $3, status = $4, transition = $5, reason = $6, \
                           message = $7, memory_used_mb = NULL WHERE id = $1 RETURNING *";
                let query = sqlx::query(sql).bind(id.as_str()).bind(rows::encode(mounts)?);
                let query = query.bind(rows::encode(&container.observed)?).bind(status.phase.as_str());
                let query = query.bind(status.transition.map(Transition::as_str));
                let query = query.bind(status.reason.map(Reason::as_str)).bind(status.message);
                let row = query.fetch_one(&mut *tx.inner).await?;
                tx.hint(Hint::Changed { id, owner });
                let restarted = container.desired == Desired::Running && container.observed.pod.is_some();
                if restarted {
                    let now = rows::$rows::container(&row)?;
                    self.tell(&mut tx, id, owner, &[Entry::remounted(&now, grant.by().origin.at)]).await?;
                }
                self.record(&mut tx, &Audit::done(grant.by(), Action::MountsUpdate, Some(id.to_string()))).await?;
                self.commit(tx).await?;
                Ok(Remounted { mounts: mounts.clone(), restarted })
            }

            async fn set_pull_policy(&self, grant: &Grant<Update>, policy: PullPolicy) -> Result<Container> {
                let (owner, id) = (grant.owner(), grant.target());
                let mut tx = self.begin().await?;
                let container = self.locked(&mut tx, owner, id).await?;
                if container.spec.pull_policy == policy {
                    return Ok(container);
                }
                let sql =
                    "UPDATE containers SET pull_policy = $2, generation = generation + 1 WHERE id = $1 RETURNING *";
                let query = sqlx::query(sql).bind(id.as_str()).bind(policy.as_str());
                let row = query.fetch_one(&mut *tx.inner).await?;
                tx.hint(Hint::Changed { id, owner });
                self.record(&mut tx, &Audit::done(grant.by(), Action::PullPolicyUpdate, Some(id.to_string()))).await?;
                self.commit(tx).await?;
                rows::$rows::container(&row)
            }
        }
    };
}

pub(crate) use implement_settings;
