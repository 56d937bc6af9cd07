//! Asks one registry, the internal one, what images it has and what a reference stands for. Everything is bounded: how long it
//! may take, how much is read (never a layer), how many images are listed, and how long an answer is believed.
//!
//! The registry holds what tenants pushed. Only their lists, manifests and configurations are read, and nothing that a manifest
//! names outside the registry is fetched.

mod catalogue;
mod config;
mod pages;
mod resolve;

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use berth_core::Invalid;
use berth_core::image::ImageRef;
use berth_core::registry::{Catalogue, Credentials, Resolved};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use secrecy::ExposeSecret;
use tokio::time::Instant;

pub use config::Config;

/// A registry on the way to which nothing answers is told from a slow one early.
const CONNECT: Duration = Duration::from_secs(2);

/// The registry whose name references carry, asked at an address of its own.
pub struct Registry {
    /// As references name it.
    name: String,
    /// Host and port where it is asked.
    authority: String,
    credentials: Option<Credentials>,
    client: Client,
    /// Repositories that are not offered.
    hidden: Vec<String>,
    /// Locked while it is read anew, so that many who ask at once make one reading.
    catalogue: tokio::sync::Mutex<Option<Kept<Catalogue>>>,
    resolved: Mutex<HashMap<ImageRef, Kept<Resolved>>>,
}

/// What was answered, and until when it is believed.
#[derive(Debug)]
struct Kept<T> {
    until: Instant,
    value: T,
}

impl Registry {
    /// `hidden` are images of Berth's own, whose repositories are not offered.
    ///
    /// # Errors
    /// [`Invalid`] with a field below `registry` when it cannot be asked like that.
    pub fn new(
        name: &str,
        config: &Config,
        credentials: Option<Credentials>,
        hidden: &[&str],
    ) -> Result<Self, Invalid> {
        let (protocol, authority) = config.address(name)?;
        let asked =
            ClientConfig { protocol, connect_timeout: Some(CONNECT), user_agent: "berthd", ..ClientConfig::default() };
        let client = Client::try_from(asked)
            .map_err(|error| Invalid::new("registry", format!("no client can be made: {error}")))?;
        let parsed = hidden.iter().filter_map(|text| text.parse::<Reference>().ok());
        let hidden = parsed.filter(|image| image.registry() == name).map(|image| image.repository().to_owned());
        Ok(Self {
            name: name.to_owned(),
            authority,
            credentials,
            client,
            hidden: hidden.collect(),
            catalogue: tokio::sync::Mutex::default(),
            resolved: Mutex::default(),
        })
    }

    fn auth(&self) -> RegistryAuth {
        self.credentials.as_ref().map_or(RegistryAuth::Anonymous, |credentials| {
            RegistryAuth::Basic(credentials.username.clone(), credentials.password.expose_secret().to_owned())
        })
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("name", &self.name).field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// A registry on the machine itself or the embedded node's has no certificate.
fn protocol(scheme: &str) -> Option<ClientProtocol> {
    match scheme {
        "http" => Some(ClientProtocol::Http),
        "https" => Some(ClientProtocol::Https),
        _other => None,
    }
}
