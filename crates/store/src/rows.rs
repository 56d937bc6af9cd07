//! Columns to domain values and back. The columns have one name and one meaning in both databases.

use std::fmt::Display;
use std::str::FromStr;

use berth_core::container::{Container, Spec};
use berth_core::id::{Generation, KeyId, RuleId, TokenId, UserId};
use berth_core::image::ImageRef;
use berth_core::ingress::{PublicPort, Rule, TargetPort};
use berth_core::key::{PublicKey, SshKey};
use berth_core::lifecycle::{Desired, Status};
use berth_core::mount::MountPaths;
use berth_core::name::{ContainerName, Username};
use berth_core::registry::ImageDigest;
use berth_core::scope::Scopes;
use berth_core::size::{MemoryMb, StorageGb};
use berth_core::user::{Source, User};
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::{ApiToken, AuditLine, Error, Person, Result, Running, SecretHash, Told};

pub(crate) fn get<'r, T, R>(row: &'r R, column: &'static str) -> Result<T>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    T: Decode<'r, R::Database> + Type<R::Database>,
{
    row.try_get(column).map_err(|error| Error::Corrupt(format!("{column}: {error}")))
}

fn word<T: FromStr>(text: &str, column: &str) -> Result<T>
where
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| Error::Corrupt(format!("{column}: {error}")))
}

fn json<T: serde::de::DeserializeOwned>(text: &str, column: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt(format!("{column}: {error}")))
}

pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Corrupt(error.to_string()))
}

pub(crate) fn hex(hash: &SecretHash) -> String {
    hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

macro_rules! readers {
    ($row:ty, $module:ident) => {
        pub(crate) mod $module {
            use super::*;

            pub(crate) fn container(row: &$row) -> Result<Container> {
                let optional = |column| get::<Option<String>, _>(row, column);
                let reason = optional("reason")?.map(|text| word(&text, "reason")).transpose()?;
                let transition = optional("transition")?.map(|text| word(&text, "transition")).transpose()?;
                let when = |column| -> Result<Option<DateTime<Utc>>> {
                    Ok(get::<Option<NaiveDateTime>, _>(row, column)?.map(|at| at.and_utc()))
                };
                Ok(Container {
                    id: word(&get::<String, _>(row, "id")?, "id")?,
                    owner: word(&get::<String, _>(row, "user_id")?, "user_id")?,
                    owner_username: Username::from_stored(get(row, "owner_username")?),
                    spec: Spec {
                        name: ContainerName::from_stored(get(row, "name")?),
                        image: ImageRef::from_stored(get(row, "image")?),
                        pull_policy: word(&get::<String, _>(row, "pull_policy")?, "pull_policy")?,
                        instance_type: get(row, "instance_type")?,
                        memory: MemoryMb::from_stored(get(row, "memory_mb")?),
                        storage: StorageGb::from_stored(get(row, "storage_gb")?),
                        mounts: MountPaths::from_stored(json(&get::<String, _>(row, "mount_paths")?, "mount_paths")?),
                        ssh_enabled: get(row, "ssh_enabled")?,
                    },
                    https_enabled: get(row, "https_enabled")?,
                    external_ip: optional("external_ip")?.map(|text| word(&text, "external_ip")).transpose()?,
                    desired: word::<Desired>(&get::<String, _>(row, "desired")?, "desired")?,
                    generation: Generation(get(row, "generation")?),
                    restart_generation: Generation(get(row, "restart_generation")?),
                    observed: json(&get::<String, _>(row, "observed")?, "observed")?,
                    status: Status {
                        phase: word(&get::<String, _>(row, "status")?, "status")?,
                        transition,
                        reason,
                        message: optional("message")?,
                    },
                    namespace_uid: optional("namespace_uid")?,
                    created_at: get::<NaiveDateTime, _>(row, "created_at")?.and_utc(),
                    stopped_at: when("stopped_at")?,
                    deleted_at: when("deleted_at")?,
                    memory_used_mb: get(row, "memory_used_mb")?,
                    disk_used: get(row, "disk_used_bytes")?,
                    image_digest: optional("image_digest")?.map(ImageDigest::from_stored),
                })
            }

            pub(crate) fn running(row: &$row) -> Result<Running> {
                Ok(Running {
                    id: word(&get::<String, _>(row, "id")?, "id")?,
                    owner: word(&get::<String, _>(row, "user_id")?, "user_id")?,
                    storage: StorageGb::from_stored(get(row, "storage_gb")?),
                })
            }

            pub(crate) fn user(row: &$row) -> Result<User> {
                Ok(User {
                    id: UserId(get(row, "id")?),
                    username: Username::from_stored(get(row, "username")?),
                    is_admin: get(row, "is_admin")?,
                    source: source(get::<Option<String>, _>(row, "subject")?.as_deref())?,
                })
            }

            pub(crate) fn person(row: &$row) -> Result<Person> {
                Ok(Person {
                    user: user(row)?,
                    created_at: get::<NaiveDateTime, _>(row, "created_at")?.and_utc(),
                    suspended_at: get::<Option<NaiveDateTime>, _>(row, "suspended_at")?.map(|at| at.and_utc()),
                    containers: get(row, "containers")?,
                })
            }

            pub(crate) fn audit_line(row: &$row) -> Result<AuditLine> {
                Ok(AuditLine {
                    id: get(row, "id")?,
                    at: get::<NaiveDateTime, _>(row, "at")?.and_utc(),
                    user: get::<Option<i64>, _>(row, "user_id")?.map(UserId),
                    username: get(row, "username")?,
                    action: get(row, "action")?,
                    target: get(row, "target")?,
                    from: get(row, "origin")?,
                    outcome: get(row, "outcome")?,
                    request_id: get(row, "request_id")?,
                    detail: get::<Option<String>, _>(row, "detail")?.map(|text| json(&text, "detail")).transpose()?,
                })
            }

            pub(crate) fn told(row: &$row) -> Result<Told> {
                Ok(Told {
                    id: get(row, "id")?,
                    revision: get(row, "revision")?,
                    kind: get(row, "kind")?,
                    at: get::<NaiveDateTime, _>(row, "at")?.and_utc(),
                    message: get(row, "message")?,
                    count: get(row, "count")?,
                })
            }

            pub(crate) fn rule(row: &$row) -> Result<Rule> {
                Ok(Rule {
                    id: RuleId(get(row, "id")?),
                    port: PublicPort::from_stored(port(get(row, "port")?)?),
                    target: TargetPort::from_stored(port(get(row, "target_port")?)?),
                    protocol: word(&get::<String, _>(row, "protocol")?, "protocol")?,
                    created_at: get::<NaiveDateTime, _>(row, "created_at")?.and_utc(),
                })
            }

            pub(crate) fn key(row: &$row) -> Result<SshKey> {
                Ok(SshKey {
                    id: KeyId(get(row, "id")?),
                    name: get(row, "name")?,
                    key: PublicKey::from_stored(get(row, "public_key")?, get(row, "fingerprint")?),
                    created_at: get::<NaiveDateTime, _>(row, "created_at")?.and_utc(),
                    last_used_at: get::<Option<NaiveDateTime>, _>(row, "last_used_at")?.map(|at| at.and_utc()),
                })
            }

            pub(crate) fn token(row: &$row) -> Result<ApiToken> {
                let when = |column| -> Result<Option<DateTime<Utc>>> {
                    Ok(get::<Option<NaiveDateTime>, _>(row, column)?.map(|at| at.and_utc()))
                };
                Ok(ApiToken {
                    id: TokenId(get(row, "token_id")?),
                    name: get(row, "token_name")?,
                    scopes: get::<Option<String>, _>(row, "scopes")?.map(|text| scopes(&text)).transpose()?,
                    created_at: get::<NaiveDateTime, _>(row, "token_created_at")?.and_utc(),
                    expires_at: when("expires_at")?,
                    revoked_at: when("revoked_at")?,
                })
            }
        }
    };
}
readers!(sqlx::sqlite::SqliteRow, sqlite);
readers!(sqlx::postgres::PgRow, postgres);

fn port(number: i32) -> Result<u16> {
    u16::try_from(number).map_err(|_| Error::Corrupt(format!("port {number}")))
}

fn source(subject: Option<&str>) -> Result<Source> {
    Source::of_subject(subject).ok_or_else(|| Error::Corrupt("subject: of no known issuer".to_owned()))
}

fn scopes(text: &str) -> Result<Scopes> {
    let map: std::collections::BTreeMap<String, Vec<String>> = json(text, "scopes")?;
    let entries = map.iter().map(|(resource, verbs)| (resource.as_str(), verbs.iter().map(String::as_str)));
    Scopes::parse(entries).map_err(|invalid| Error::Corrupt(invalid.to_string()))
}
