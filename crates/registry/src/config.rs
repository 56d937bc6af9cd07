//! Where the registry is asked, and as whom.

use std::path::PathBuf;

use berth_core::Invalid;
use berth_core::registry::Credentials;
use oci_client::client::ClientProtocol;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Such as `http://10.41.0.2:5000`; absent: `https://` and the registry's name in references.
    pub endpoint: Option<Url>,
    /// Of a private registry; nodes pull with it too.
    pub username: Option<String>,
    /// Holds the password that goes with it. Read when berthd starts.
    pub password_file: Option<PathBuf>,
}

impl Config {
    /// Reads the password.
    ///
    /// # Errors
    /// [`Invalid`] when one of the two settings is missing, or the file cannot be read or is empty.
    pub fn credentials(&self) -> Result<Option<Credentials>, Invalid> {
        let (username, file) = match (&self.username, &self.password_file) {
            (None, None) => return Ok(None),
            (Some(username), Some(file)) => (username, file),
            (Some(_), None) => return Err(Invalid::new("registry.password_file", "is needed with registry.username")),
            (None, Some(_)) => return Err(Invalid::new("registry.username", "is needed with registry.password_file")),
        };
        // HTTP's basic authentication ends the name at the first colon.
        if username.is_empty() || username.contains(':') {
            return Err(Invalid::new("registry.username", "is a name without a colon"));
        }
        let wrong = |detail: String| Invalid::new("registry.password_file", detail);
        let read = std::fs::read_to_string(file).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
        let password = read.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(wrong(format!("{} is empty", file.display())));
        }
        Ok(Some(Credentials { username: username.clone(), password: SecretString::from(password) }))
    }

    /// How and at which host and port the registry that references call `name` is asked.
    pub(crate) fn address(&self, name: &str) -> Result<(ClientProtocol, String), Invalid> {
        let Some(endpoint) = &self.endpoint else { return Ok((ClientProtocol::Https, name.to_owned())) };
        let plain = endpoint.path() == "/" && endpoint.query().is_none() && endpoint.fragment().is_none();
        let nobody = endpoint.username().is_empty() && endpoint.password().is_none();
        match (crate::protocol(endpoint.scheme()), endpoint.host_str()) {
            (Some(protocol), Some(host)) if plain && nobody => {
                let port = endpoint.port().map(|port| format!(":{port}")).unwrap_or_default();
                Ok((protocol, format!("{host}{port}")))
            }
            _otherwise => Err(Invalid::new("registry.endpoint", "is http:// or https:// with a host, and no more")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret;

    use super::*;

    fn at(endpoint: &str) -> Config {
        Config { endpoint: Some(endpoint.parse().unwrap()), ..Config::default() }
    }

    #[test]
    fn where_it_is_asked() {
        let name = "registry.example";
        assert_eq!(Config::default().address(name), Ok((ClientProtocol::Https, name.to_owned())));
        assert_eq!(at("http://10.41.0.2:5000").address(name), Ok((ClientProtocol::Http, "10.41.0.2:5000".to_owned())));
        assert_eq!(at("https://r.example/").address(name), Ok((ClientProtocol::Https, "r.example".to_owned())));
        for wrong in ["ftp://r.example", "https://r.example/v2", "https://a:b@r.example", "https://r.example?x", "a:b"]
        {
            assert_eq!(at(wrong).address(name).unwrap_err().field, "registry.endpoint", "{wrong}");
        }
    }

    #[test]
    fn credentials_come_in_pairs() {
        let folder = tempfile::tempdir().unwrap();
        let (file, empty) = (folder.path().join("password"), folder.path().join("empty"));
        fs::write(&file, "right\n").unwrap();
        fs::write(&empty, "\n").unwrap();
        let config = |username: Option<&str>, password_file: Option<&PathBuf>| Config {
            username: username.map(str::to_owned),
            password_file: password_file.cloned(),
            ..Config::default()
        };
        assert!(config(None, None).credentials().unwrap().is_none());
        let read = config(Some("berth"), Some(&file)).credentials().unwrap().unwrap();
        assert_eq!((read.username.as_str(), read.password.expose_secret()), ("berth", "right"));
        assert!(!format!("{read:?}").contains("right"));
        for (username, password_file, field) in [
            (Some("berth"), None, "registry.password_file"),
            (None, Some(&file), "registry.username"),
            (Some("a:b"), Some(&file), "registry.username"),
            (Some("berth"), Some(&empty), "registry.password_file"),
            (Some("berth"), Some(&folder.path().join("none")), "registry.password_file"),
        ] {
            assert_eq!(config(username, password_file).credentials().unwrap_err().field, field);
        }
    }
}
