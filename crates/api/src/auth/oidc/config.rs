//! What the operator says about the issuer.

use berth_core::Invalid;
use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// As the issuer writes it itself, to the last slash.
    pub issuer: String,
    pub client_id: String,
    /// Absent: a public client, which PKCE alone protects.
    #[serde(default)]
    pub client_secret: Option<SecretString>,
    /// Access tokens for this audience are accepted too. Whoever holds one acts as its user: name an audience that only
    /// programs get which may do that.
    #[serde(default)]
    pub audience: Option<String>,
    /// Asked for at a login, beside `openid`.
    #[serde(default = "default_scopes")]
    pub scopes: Vec<String>,
    /// The claim that names a new user. Absent: `preferred_username`, then `email`. Without it the subject is taken.
    #[serde(default)]
    pub username_claim: Option<String>,
    /// Who is an administrator, told by a claim. A login writes it to the user's row; a bearer token speaks for itself.
    #[serde(default)]
    pub admin_group: Option<AdminGroup>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminGroup {
    /// Such as `groups`: a list of words, or one word.
    pub claim: String,
    pub value: String,
}

fn default_scopes() -> Vec<String> {
    vec!["profile".to_owned(), "email".to_owned()]
}

/// Checked before a port is bound.
///
/// # Errors
/// The key, and what would be right.
pub(crate) fn check(oidc: Option<&OidcConfig>, public_url: Option<&Url>) -> Result<(), Invalid> {
    if let Some(url) = public_url {
        let web = matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty();
        if !web || url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(Invalid::new("api.public_url", "needs the form https://host, without a path"));
        }
    }
    let Some(oidc) = oidc else { return Ok(()) };
    if public_url.is_none() {
        return Err(Invalid::new("api.public_url", "is needed with api.oidc: the issuer sends browsers back there"));
    }
    let issuer = Url::parse(&oidc.issuer).ok().filter(|url| url.query().is_none() && url.fragment().is_none());
    if !issuer.is_some_and(|url| url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url)) {
        return Err(Invalid::new("api.oidc.issuer", "needs an https URL; http only for an issuer on this machine"));
    }
    if oidc.client_id.is_empty() {
        return Err(Invalid::new("api.oidc.client_id", "is the name under which the issuer knows this service"));
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_names_its_key() {
        let oidc = |issuer: &str, client_id: &str| {
            serde_json::from_value::<OidcConfig>(serde_json::json!({ "issuer": issuer, "client_id": client_id }))
                .unwrap()
        };
        for (issuer, client_id, public_url, key) in [
            ("https://issuer.example/realm", "berth", "https://berth.example", None),
            ("http://127.0.0.1:3000", "berth", "http://127.0.0.1:7070", None),
            ("http://issuer.example", "berth", "https://berth.example", Some("api.oidc.issuer")),
            ("http://127.0.0.1.evil.example", "berth", "https://berth.example", Some("api.oidc.issuer")),
            ("https://issuer.example?x", "berth", "https://berth.example", Some("api.oidc.issuer")),
            ("issuer", "berth", "https://berth.example", Some("api.oidc.issuer")),
            ("https://issuer.example", "", "https://berth.example", Some("api.oidc.client_id")),
            ("https://issuer.example", "berth", "https://berth.example/x", Some("api.public_url")),
            ("https://issuer.example", "berth", "ftp://berth.example", Some("api.public_url")),
        ] {
            let url = Url::parse(public_url).unwrap();
            let checked = check(Some(&oidc(issuer, client_id)), Some(&url));
            assert_eq!(checked.err().map(|invalid| invalid.field), key, "{issuer} {public_url}");
        }
        assert_eq!(check(Some(&oidc("https://a.example", "b")), None).unwrap_err().field, "api.public_url");
        assert_eq!(check(None, None), Ok(()));
    }
}
