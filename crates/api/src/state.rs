//! What every handler shares.

use std::fmt;
use std::sync::Arc;

use berth_core::id::UserId;
use berth_core::image::{BuiltinImage, ImagePolicy};
use berth_core::instance::{Arch, InstanceTypes};
use berth_core::name::Username;
use berth_core::quota::Quota;
use berth_store::Store;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;

use crate::auth::login_limit::{Limit, LoginLimit};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Containers are `<id>.compute.<domain>`.
    pub domain: String,
    pub images: ImagePolicy,
    pub quota: Quota,
    /// How long a login lasts.
    pub session_hours: u32,
    /// Logins tried per minute, for one account and for one address.
    pub logins_per_minute: u32,
    /// Key of HS256 tokens; absent: such tokens are refused.
    pub jwt_secret: Option<SecretString>,
    /// This user is an administrator whatever the row says.
    pub admin_username: Option<Username>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Config {
    fn default() -> Self {
        let registry = "registry.berth.internal";
        let base = BuiltinImage { name: "base".to_owned(), image: format!("{registry}/berth/base:latest") };
        Self {
            domain: "berth.local".to_owned(),
            images: ImagePolicy { builtins: vec![base], registry: registry.to_owned() },
            quota: Quota::default(),
            session_hours: 24,
            logins_per_minute: 10,
            jwt_secret: None,
            admin_username: None,
            trusted_proxies: Vec::new(),
        }
    }
}

/// What the API asks of the cluster.
pub trait Platform: Send + Sync + fmt::Debug + 'static {
    /// Architectures that nodes offer now.
    fn architectures(&self) -> Vec<Arch>;
    /// Whether the cluster can be reached; else the sentence that says what is wrong.
    ///
    /// # Errors
    /// The sentence.
    fn ready(&self) -> Result<(), String>;
}

/// Lines that one user may cause in the audit log by calling what is for administrators.
const DENIED_PER_MINUTE: u32 = 60;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api(Arc<Inner>);

#[derive(Debug)]
pub struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: Config,
    pub(crate) types: InstanceTypes,
    pub(crate) platform: Arc<dyn Platform>,
    pub(crate) login_limit: LoginLimit,
    pub(crate) denied_limit: Limit<UserId>,
}

impl Api {
    pub fn new(store: Arc<dyn Store>, config: Config, types: InstanceTypes, platform: Arc<dyn Platform>) -> Self {
        let login_limit = LoginLimit::new(config.logins_per_minute);
        let denied_limit = Limit::per_minute(DENIED_PER_MINUTE);
        Self(Arc::new(Inner { store, config, types, platform, login_limit, denied_limit }))
    }
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
