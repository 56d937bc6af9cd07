//! Configuration: one file, overridden by the environment. Everything is checked before a port is bound.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use berth_cluster::Pulls;
use berth_core::Invalid;
use berth_core::instance::{InstanceType, InstanceTypes};
use berth_core::name::Username;
use figment::Figment;
use figment::providers::{Env, Format, Toml};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// HS256 keys below the hash's own length can be guessed (RFC 7518, section 3.2).
const MIN_SECRET: usize = 32;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Read(#[from] Box<figment::Error>),
    #[error("{key}: {detail}")]
    Value { key: &'static str, detail: String },
}

/// One struct per subsystem.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) database: Database,
    pub(crate) api: berth_api::Config,
    pub(crate) cluster: berth_cluster::Config,
    pub(crate) registry: berth_registry::Config,
    pub(crate) gateway: berth_gateway::Config,
    pub(crate) instance_types: Option<Vec<InstanceType>>,
    /// File of the cluster's credentials; absent: `KUBECONFIG`, then the pod's own.
    pub(crate) kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Where the API listens.
    pub(crate) listen: SocketAddr,
    /// Where `/metrics` listens: apart, because it has no authentication.
    pub(crate) metrics_listen: SocketAddr,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 7071)),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Database {
    /// `sqlite:///var/lib/berth/berth.db` or `postgres://user:password@host/name`.
    pub(crate) url: String,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: "sqlite:///var/lib/berth/berth.db".to_owned() }
    }
}

impl Config {
    pub(crate) fn instance_types(&self) -> Result<InstanceTypes, Error> {
        match &self.instance_types {
            None => Ok(InstanceTypes::default()),
            Some(rows) => InstanceTypes::new(rows.clone())
                .map_err(|invalid| Error::Value { key: "instance_types", detail: invalid.detail }),
        }
    }
}

/// Reads the file and the environment: `BERTH_SERVER__LISTEN` is `server.listen`; `JWT_SECRET` and `ADMIN_USERNAME` are
/// the names that other services of the same installation use.
///
/// # Errors
/// The key and what is wrong with it.
pub(crate) fn load(file: Option<&Path>) -> Result<Config, Error> {
    let mut figment = Figment::new();
    if let Some(file) = file {
        figment = figment.merge(Toml::file_exact(file));
    }
    let nested = Env::prefixed("BERTH_").filter(|key| key.as_str().contains("__")).split("__");
    let mut config: Config = figment.merge(nested).extract().map_err(Box::new)?;
    if let Some(secret) = std::env::var("JWT_SECRET").ok().filter(|secret| !secret.is_empty()) {
        config.api.jwt_secret = Some(SecretString::from(secret));
    }
    if let Some(name) = std::env::var("ADMIN_USERNAME").ok().filter(|name| !name.is_empty()) {
        let parsed = Username::parse(&name);
        let parsed = parsed.map_err(|invalid| Error::Value { key: "ADMIN_USERNAME", detail: invalid.detail })?;
        config.api.admin_username = Some(parsed);
    }
    check(&config)?;
    let credentials = config.registry.credentials();
    let credentials = credentials.map_err(|invalid| Error::Value { key: invalid.field, detail: invalid.detail })?;
    share_keys(&mut config)?;
    if let Some(ssh) = &config.cluster.ssh {
        let keys = berth_grant::GatewayKeys::parse(&ssh.gateway_keys);
        let wrong = |line| format!("line {line} is no ed25519 key as .pub files have it");
        config.api.gateway_keys =
            Some(keys.map_err(|line| Error::Value { key: "cluster.ssh.gateway_keys", detail: wrong(line) })?);
    }
    config.api.addresses = config.gateway.dedicated.clone();
    let registry = config.api.images.registry.clone();
    config.cluster.pulls = credentials.map(|credentials| Pulls { registry, credentials });
    Ok(config)
}

/// A controller beside the keys of the gateway needs to be told no more of them.
fn share_keys(config: &mut Config) -> Result<(), Error> {
    let Some(folder) = config.gateway.keys.as_deref().filter(|_| config.cluster.ssh.is_none()) else { return Ok(()) };
    let wrong = |detail: String| Error::Value { key: "gateway.keys", detail };
    // `berthd init` makes them.
    if !folder.join(berth_gateway::keys::GRANT_KEY).exists() {
        return Ok(());
    }
    let keys = berth_gateway::Keys::load(folder).map_err(|error| wrong(error.to_string()))?;
    let file = folder.join(berth_gateway::keys::HOST_KEY_SECRET);
    let secret = std::fs::read_to_string(&file).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
    let host_key_secret = SecretString::from(secret.trim());
    config.cluster.ssh = Some(berth_cluster::Ssh { gateway_keys: keys.grant_public_key(), host_key_secret });
    check(config)
}

fn check(config: &Config) -> Result<(), Error> {
    config.instance_types()?;
    let wrong = |invalid: Invalid| Error::Value { key: invalid.field, detail: invalid.detail };
    config.api.check().map_err(wrong)?;
    config.gateway.check().map_err(wrong)?;
    if config.api.jwt_secret.as_ref().is_some_and(|secret| secret.expose_secret().len() < MIN_SECRET) {
        let detail = format!("needs at least {MIN_SECRET} bytes; openssl rand -hex 32 makes one");
        return Err(Error::Value { key: "JWT_SECRET", detail });
    }
    if config.cluster.ssh.as_ref().is_some_and(|ssh| ssh.host_key_secret.expose_secret().len() < MIN_SECRET) {
        let detail = format!("needs at least {MIN_SECRET} bytes; openssl rand -hex 32 makes one");
        return Err(Error::Value { key: "cluster.ssh.host_key_secret", detail });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load_text(text: &str) -> Result<Config, Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        load(Some(file.path()))
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(load_text("").unwrap().server.listen.port(), 7070);
    }

    #[test]
    fn a_bad_value_names_its_key() {
        for (text, key) in [
            ("[server]\nlisten = \"nowhere\"", "server.listen"),
            ("[server]\nport = 1", "port"),
            ("instance_types = []", "instance_types"),
            ("[databse]\nurl = \"\"", "databse"),
            ("[api.oidc]\nissuer = \"https://a.example\"\nclient_id = \"b\"", "api.public_url"),
            ("[api.oidc]\nissuer = \"https://a.example\"", "client_id"),
            ("[cluster.ssh]\ngateway_keys = \"\"\nhost_key_secret = \"short\"", "cluster.ssh.host_key_secret"),
            ("[api]\npublic_url = \"nowhere\"", "api.public_url"),
            ("[gateway]\ntranslated = { \"10.0.0.5\" = \"203.0.113.7\" }", "gateway.translated"),
            ("[gateway]\ndedicated = [\"nowhere\"]", "gateway.dedicated"),
            ("[registry]\nendpoint = \"nowhere\"", "registry.endpoint"),
            ("[api.images]\nregistry = \"https://a.example\"", "api.images.registry"),
            ("[api.images]\nbuiltins = []", "api.images.builtins"),
            ("[registry]\nusername = \"berth\"", "registry.password_file"),
        ] {
            let error = load_text(text).unwrap_err().to_string();
            assert!(error.contains(key), "{text}: {error}");
        }
    }
}
