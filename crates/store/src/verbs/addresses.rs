//! Addresses of containers. Which containers have which, and which rules are served there, concerns several owners at once:
//! whoever changes it holds the row of the installation, and takes it after those of the user and of the container.

macro_rules! implement_addresses {
    ($store:ty, $rows:ident) => {
        impl $store {
            async fn lock_addresses(&self, tx: &mut Tx) -> Result<()> {
                let sql = self.for_update("SELECT id FROM installation", "SELECT id FROM installation FOR UPDATE");
                sqlx::query(sql).fetch_one(&mut *tx.inner).await?;
                Ok(())
            }

            /// Which of `addresses` a container of `owner` should have, whatever it has now.
            async fn address_for(
                &self,
                tx: &mut Tx,
                owner: UserId,
                id: ContainerId,
                addresses: &Addresses,
            ) -> Result<Option<IpAddr>> {
                if addresses.is_empty() {
                    return Ok(None);
                }
                self.lock_addresses(tx).await?;
                let sql = "SELECT user_id, external_ip FROM containers \
                           WHERE external_ip IS NOT NULL AND deleted_at IS NULL AND id <> $1";
                let found = sqlx::query(sql).bind(id.as_str()).fetch_all(&mut *tx.inner).await?;
                let mut own = Vec::new();
                let mut shared = HashMap::<IpAddr, usize>::new();
                for row in &found {
                    let address: String = rows::get(row, "external_ip")?;
                    let address: IpAddr = address.parse().map_err(|_| Error::Corrupt(format!("address {address}")))?;
                    *shared.entry(address).or_default() += 1;
                    if rows::get::<String, _>(row, "user_id")? == owner.to_string() {
                        own.push(address);
                    }
                }
                let mut unsuitable = Vec::new();
                let sql = "SELECT * FROM ingress_rules WHERE container_id = $1";
                for row in &sqlx::query(sql).bind(id.as_str()).fetch_all(&mut *tx.inner).await? {
                    let rule = rows::$rows::rule(row)?;
                    for address in addresses.iter().filter(|address| shared.contains_key(address)) {
                        if self.is_taken_at(tx, id, address, rule.port, rule.protocol).await? {
                            unsuitable.push(address);
                        }
                    }
                }
                let count = |address| shared.get(&address).copied().unwrap_or_default();
                Ok(addresses.choose(&own, count, |address| !unsuitable.contains(&address)))
            }

            /// A rule of a container that has this address.
            async fn admit_at(
                &self,
                tx: &mut Tx,
                id: ContainerId,
                address: IpAddr,
                port: PublicPort,
                protocol: Protocol,
            ) -> Result<()> {
                self.lock_addresses(tx).await?;
                if self.is_taken_at(tx, id, address, port, protocol).await? {
                    return Err(Error::AddressPortTaken { address, port: port.get() });
                }
                Ok(())
            }

            /// Whether a port of an address is another container's in a way that leaves no room for such a rule of this one.
            async fn is_taken_at(
                &self,
                tx: &mut Tx,
                id: ContainerId,
                address: IpAddr,
                port: PublicPort,
                protocol: Protocol,
            ) -> Result<bool> {
                let sql = "SELECT r.id FROM ingress_rules r JOIN containers c ON c.id = r.container_id \
                           WHERE c.external_ip = $1 AND c.deleted_at IS NULL AND c.id <> $2 AND r.port = $3 \
                           AND (r.protocol = 'tcp' OR $4)";
                let query = sqlx::query(sql).bind(address.to_string()).bind(id.as_str()).bind(i32::from(port.get()));
                let query = query.bind(protocol == Protocol::Tcp);
                Ok(query.fetch_optional(&mut *tx.inner).await?.is_some())
            }

            /// Whether it got another.
            async fn settle_address(&self, seen: &Container, addresses: &Addresses) -> Result<bool> {
                let settled = |now: Option<IpAddr>| match now {
                    Some(now) => addresses.contains(now),
                    None => addresses.is_empty(),
                };
                if settled(seen.external_ip) {
                    return Ok(false);
                }
                let (id, owner) = (seen.id, seen.owner);
                let mut tx = self.begin().await?;
                let now = match self.locked(&mut tx, owner, id).await {
                    Ok(container) => container.external_ip,
                    // Deleted meanwhile.
                    Err(Error::NotFound) => return Ok(false),
                    Err(error) => return Err(error),
                };
                let wanted = if settled(now) { now } else { self.address_for(&mut tx, owner, id, addresses).await? };
                if wanted == now {
                    return Ok(false);
                }
                let sql = "UPDATE containers SET external_ip = $2, generation = generation + 1 WHERE id = $1";
                let query = sqlx::query(sql).bind(id.as_str()).bind(wanted.map(|address| address.to_string()));
                query.execute(&mut *tx.inner).await?;
                tx.hint(Hint::Changed { id, owner });
                self.commit(tx).await?;
                Ok(true)
            }
        }
    };
}

pub(crate) use implement_addresses;
