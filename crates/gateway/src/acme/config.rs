//! Settings of `[gateway.acme]`, and what of them cannot be.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use instant_acme::LetsEncrypt;
use secrecy::SecretSlice;
use serde::Deserialize;

use crate::Config;
use crate::tls::{Failed, failed};

/// Certificates from an authority that everybody trusts already, or one of a company's own, by RFC 8555.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acme {
    /// Where the authority's directory is; absent: Let's Encrypt.
    pub directory: String,
    /// Its terms of service are agreed to. It has to be said, because nobody may say so for the operator.
    pub agree_to_terms: bool,
    /// Whom the authority may write to: `mailto:…`.
    pub contact: Vec<String>,
    /// PEM file of who vouches for the directory's own HTTPS, where that is nobody whom this machine trusts.
    pub root: Option<PathBuf>,
    /// Which kind of certificate, where the directory offers several.
    pub profile: Option<String>,
    /// External account binding, where the authority asks for it: the number of the key, and the file with the key in base64url.
    pub eab_key_id: Option<String>,
    pub eab_key_file: Option<PathBuf>,
    /// The Secret in `berth-system` that all replicas share. `deploy/rbac-gateway.yaml` makes it and lets gateways write it.
    pub secret: String,
}

impl Default for Acme {
    fn default() -> Self {
        Self {
            directory: LetsEncrypt::Production.url().to_owned(),
            agree_to_terms: false,
            contact: Vec::new(),
            root: None,
            profile: None,
            eab_key_id: None,
            eab_key_file: None,
            secret: "berth-gateway-acme".to_owned(),
        }
    }
}

/// What the files of the settings hold.
pub(super) struct Loaded {
    pub(super) roots: Vec<reqwest::Certificate>,
    pub(super) binding: Option<Binding>,
}

pub(super) struct Binding {
    pub(super) key_id: String,
    pub(super) key: SecretSlice<u8>,
}

impl Acme {
    /// # Errors
    /// Names the setting that cannot be.
    pub(super) fn load(&self, config: &Config) -> Result<Loaded, Failed> {
        if config.dns.is_none() {
            return Err(failed("gateway.acme", "needs [gateway.dns]: the authority asks that zone who we are"));
        }
        if config.certificate.is_some() {
            return Err(failed("gateway.acme", "and gateway.certificate exclude each other"));
        }
        if !self.agree_to_terms {
            let why = format!("has to be true, once you have read the terms of {}", self.directory);
            return Err(failed("gateway.acme.agree_to_terms", why));
        }
        if !self.directory.starts_with("https://") {
            return Err(failed("gateway.acme.directory", format!("{} is no https:// address", self.directory)));
        }
        if let Some(contact) = self.contact.iter().find(|contact| !contact.starts_with("mailto:")) {
            return Err(failed("gateway.acme.contact", format!("{contact} does not begin with mailto:")));
        }
        Ok(Loaded { roots: self.roots()?, binding: self.binding()? })
    }

    fn roots(&self) -> Result<Vec<reqwest::Certificate>, Failed> {
        let Some(file) = &self.root else { return Ok(Vec::new()) };
        let wrong = |error: &dyn std::fmt::Display| failed("gateway.acme.root", format!("{}: {error}", file.display()));
        let text = std::fs::read(file).map_err(|error| wrong(&error))?;
        let roots = reqwest::Certificate::from_pem_bundle(&text).map_err(|error| wrong(&error))?;
        if roots.is_empty() { Err(wrong(&"holds no certificate")) } else { Ok(roots) }
    }

    fn binding(&self) -> Result<Option<Binding>, Failed> {
        let (key_id, file) = match (&self.eab_key_id, &self.eab_key_file) {
            (None, None) => return Ok(None),
            (Some(key_id), Some(file)) => (key_id.clone(), file),
            (Some(_), None) => return Err(failed("gateway.acme.eab_key_file", "belongs to eab_key_id and is not set")),
            (None, Some(_)) => return Err(failed("gateway.acme.eab_key_id", "belongs to eab_key_file and is not set")),
        };
        let wrong = |why: String| failed("gateway.acme.eab_key_file", format!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let text = text.trim();
        // Never the decoder's own words: they quote what they could not read.
        let key = URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text));
        let key = key.map_err(|_| wrong("is not base64url".to_owned()))?;
        Ok(Some(Binding { key_id, key: key.into() }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test code")]

    use super::*;
    use crate::Dns;

    fn config(acme: Acme) -> Config {
        let dns = Dns { listen: Vec::new(), addresses: Vec::new(), nameservers: Vec::new() };
        Config { dns: Some(dns), acme: Some(acme), ..Config::default() }
    }

    fn agreed() -> Acme {
        Acme { agree_to_terms: true, ..Acme::default() }
    }

    fn error(config: &Config) -> String {
        config.acme.as_ref().unwrap().load(config).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_names_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            Some(folder.path().join(name))
        };
        let key_id = || Some("kid".to_owned());
        assert_eq!(error(&config(agreed())), "");
        for (acme, expected) in [
            (Acme::default(), "gateway.acme.agree_to_terms"),
            (Acme { directory: "http://ca".to_owned(), ..agreed() }, "gateway.acme.directory"),
            (Acme { contact: vec!["ann@example.com".to_owned()], ..agreed() }, "gateway.acme.contact"),
            (Acme { root: Some("/nowhere".into()), ..agreed() }, "gateway.acme.root: /nowhere"),
            (Acme { root: file("empty", ""), ..agreed() }, "gateway.acme.root"),
            (Acme { eab_key_id: key_id(), ..agreed() }, "gateway.acme.eab_key_file"),
            (Acme { eab_key_file: file("k", "a2V5"), ..agreed() }, "gateway.acme.eab_key_id"),
            (
                Acme { eab_key_id: key_id(), eab_key_file: file("b", "s3cret!"), ..agreed() },
                "gateway.acme.eab_key_file",
            ),
        ] {
            let error = error(&config(acme));
            assert!(error.contains(expected) && !error.contains("s3cret"), "{expected}: {error}");
        }
        let acme = Acme { eab_key_id: key_id(), eab_key_file: file("good", "-_8=\n"), ..agreed() };
        let config = config(acme);
        let binding = config.acme.as_ref().unwrap().load(&config).unwrap().binding.unwrap();
        assert_eq!(secrecy::ExposeSecret::expose_secret(&binding.key), [0xfb, 0xff]);

        let without_zone = Config { dns: None, acme: Some(agreed()), ..Config::default() };
        assert!(error(&without_zone).contains("[gateway.dns]"));
        let both =
            Config { certificate: Some("tls.crt".into()), acme: Some(agreed()), dns: config.dns, ..Config::default() };
        assert!(error(&both).contains("gateway.certificate"));
    }
}
