//! What every handler shares.

use std::fmt;
use std::sync::Arc;

use berth_core::address::Addresses;
use berth_core::id::UserId;
use berth_core::image::ImagePolicy;
use berth_core::instance::{Arch, InstanceTypes};
use berth_core::name::Username;
use berth_core::quota::Quota;
use berth_grant::GatewayKeys;
use berth_store::Store;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use berth_core::Invalid;

use crate::auth::login_limit::{Limit, LoginLimit};
use crate::auth::oidc::{self, Oidc, OidcConfig};
use crate::images::Images;
use crate::pod_io::PodIo;
use crate::waits::Waits;

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
    /// A terminal through which nothing goes for this long is closed; 0: never.
    pub terminal_idle_minutes: u32,
    /// Key of HS256 tokens; absent: such tokens are refused.
    pub jwt_secret: Option<SecretString>,
    /// This user is an administrator whatever the row says.
    pub admin_username: Option<Username>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where browsers reach this service, such as `https://compute.example.com`.
    pub public_url: Option<Url>,
    /// Of the gateway, for containers to have. Set by berthd, which is told of them in the gateway's settings.
    #[serde(skip)]
    pub addresses: Addresses,
    /// The gateways' public keys; absent: nobody reports connections. Set by berthd, which has them for the agents.
    #[serde(skip)]
    pub gateway_keys: Option<GatewayKeys>,
    /// People of this issuer may log in.
    pub oidc: Option<OidcConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            domain: "berth.local".to_owned(),
            images: ImagePolicy::default(),
            quota: Quota::default(),
            session_hours: 24,
            logins_per_minute: 10,
            terminal_idle_minutes: 30,
            jwt_secret: None,
            admin_username: None,
            trusted_proxies: Vec::new(),
            public_url: None,
            addresses: Addresses::default(),
            gateway_keys: None,
            oidc: None,
        }
    }
}

impl Config {
    /// Before a port is bound.
    ///
    /// # Errors
    /// The key, as `api.…`, and what would be right.
    pub fn check(&self) -> Result<(), Invalid> {
        self.images.check()?;
        oidc::check(self.oidc.as_ref(), self.public_url.as_ref())
    }
}

/// What the API asks of the cluster.
pub trait Platform: PodIo + Send + Sync + fmt::Debug + 'static {
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
    pub(crate) images: Arc<dyn Images>,
    pub(crate) login_limit: LoginLimit,
    pub(crate) denied_limit: Limit<UserId>,
    pub(crate) oidc: Option<Oidc>,
    pub(crate) waits: Waits,
    pub(crate) stopping: CancellationToken,
}

impl Api {
    /// # Panics
    /// When the configuration was not checked.
    pub fn new(
        store: Arc<dyn Store>,
        config: Config,
        types: InstanceTypes,
        platform: Arc<dyn Platform>,
        images: Arc<dyn Images>,
    ) -> Self {
        let login_limit = LoginLimit::new(config.logins_per_minute);
        let oidc = config.oidc.clone().zip(config.public_url.as_ref());
        let oidc = oidc.map(|(oidc, url)| Oidc::new(oidc, url).expect("Config::check has looked at it"));
        let denied_limit = Limit::per_minute(DENIED_PER_MINUTE);
        let (waits, stopping) = (Waits::default(), CancellationToken::new());
        Self(Arc::new(Inner {
            store,
            config,
            types,
            platform,
            images,
            login_limit,
            denied_limit,
            oidc,
            waits,
            stopping,
        }))
    }

    /// How many requests wait for a container now.
    pub fn waiting(&self) -> usize {
        self.waits.total()
    }

    /// Whoever is about to end this process cancels it: requests that wait are answered then.
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
