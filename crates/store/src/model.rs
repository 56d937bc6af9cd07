//! What goes into and comes out of rows, beside the words of core.

use std::fmt;

use berth_core::container::{Container, Spec};
use berth_core::id::{ContainerId, KeyId, TokenId, UserId};
use berth_core::key::PublicKey;
use berth_core::mount::MountPaths;
use berth_core::name::Username;
use berth_core::registry::ImageDigest;
use berth_core::scope::Scopes;
use berth_core::size::StorageGb;
use berth_core::user::User;
use chrono::{DateTime, Utc};

/// SHA-256 of a bearer secret of 256 random bits: such a secret needs no slow hash. Only hashes are kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretHash(pub [u8; 32]);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// A user with a password.
#[derive(Clone)]
pub struct LocalAccount {
    pub user: User,
    /// PHC string of argon2id.
    pub password_hash: String,
}

impl fmt::Debug for LocalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAccount").field("user", &self.user).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub hash: SecretHash,
    pub user: UserId,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// 1–63 printable characters, unique among the user's live tokens.
    pub name: String,
    pub hash: SecretHash,
    /// `None`: everything the user may do, except managing credentials.
    pub scopes: Option<Scopes>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    pub id: TokenId,
    pub name: String,
    pub scopes: Option<Scopes>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub user: User,
    pub token: ApiToken,
}

#[derive(Debug, Clone)]
pub struct NewContainer {
    pub id: ContainerId,
    pub spec: Spec,
    /// Keys of the owner that the container accepts; each must exist and be the owner's.
    pub keys: Vec<KeyId>,
    /// What the image stands for now, as its registry says; `None` when it could not be asked.
    pub image_digest: Option<ImageDigest>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct NewSshKey {
    /// 1–63 printable characters.
    pub name: String,
    pub key: PublicKey,
    pub created_at: DateTime<Utc>,
}

/// Who may log in to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshAccess {
    pub enabled: bool,
    /// Keys that the container accepts, in order.
    pub keys: Vec<KeyId>,
}

/// What became of a change of mount paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remounted {
    pub mounts: MountPaths,
    /// A pod that ran is being replaced.
    pub restarted: bool,
}

/// A client's `Idempotency-Key` and the hash of what it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// 1–255 visible ASCII characters.
    pub key: String,
    pub request: SecretHash,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    New(Container),
    /// The same key and body came before: the container it made, as it is now (deleted since: not found).
    Replayed(Container),
}

/// Who is known outside, as a token that was verified says it.
#[derive(Debug, Clone, Copy)]
pub struct OutsideUser<'a> {
    /// `jwt:7`, `oidc:<issuer>#<sub>`: never changes, and is the only thing that identifies.
    pub subject: &'a str,
    /// Where a claim names it, a new row takes this id.
    pub id: Option<UserId>,
    /// What a new row would like to be called; a taken name gets a numeric suffix.
    pub username: &'a Username,
    /// What the row says from now on; `None` leaves it.
    pub is_admin: Option<bool>,
}

/// A user, as administrators see one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub user: User,
    pub created_at: DateTime<Utc>,
    pub suspended_at: Option<DateTime<Utc>>,
    /// Deleted ones left out.
    pub containers: i64,
}

/// A container that runs, as far as asking its agent needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    pub id: ContainerId,
    pub owner: UserId,
    pub storage: StorageGb,
}

/// An entry of a timeline, as it is kept. Words stay as they were written, whatever this version knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Grows with every entry of this container.
    pub id: i64,
    /// Grows with every change.
    pub revision: i64,
    pub kind: String,
    pub at: DateTime<Utc>,
    pub message: String,
    pub count: i64,
}
