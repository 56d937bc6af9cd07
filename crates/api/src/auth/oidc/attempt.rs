//! One attempt to log in, from the redirect to the issuer until the browser comes back.
//!
//! All that must be remembered is derived from one random secret in a short-lived `__Host-` cookie: the state, the nonce
//! and the PKCE verifier are hashes of it under different names. So no server keeps anything, every replica can finish
//! what another began, and there is no key to keep. What the issuer and the address bar see of it (the state, the nonce,
//! the hash of the verifier) leads back to none of the others. The browser itself could compute them; they protect it
//! from others, and nobody else can set or read that cookie.

use axum_extra::extract::cookie::{Cookie, SameSite};
use berth_core::return_to::ReturnTo;
use openidconnect::{CsrfToken, Nonce, PkceCodeVerifier};
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

use crate::auth::credential;

pub(crate) const COOKIE: &str = "__Host-berth-oidc";
/// How long somebody may take to log in at the issuer.
const LIFE: time::Duration = time::Duration::minutes(10);
/// As [`credential::random`] makes them.
const SECRET_LEN: usize = 64;

#[derive(Debug)]
pub(crate) struct Attempt {
    secret: SecretString,
    pub(crate) return_to: ReturnTo,
}

impl Attempt {
    pub(crate) fn new(return_to: ReturnTo) -> Self {
        Self { secret: credential::random(""), return_to }
    }

    /// Reads the cookie's value; `None` when it is not one of ours.
    pub(crate) fn from_cookie(value: &str) -> Option<Self> {
        let (mut secret, mut return_to) = (None, None);
        for (name, value) in form_urlencoded::parse(value.as_bytes()) {
            match &*name {
                "secret" if value.len() == SECRET_LEN => secret = Some(SecretString::from(value.into_owned())),
                "return_to" => return_to = Some(ReturnTo::parse(&value).ok()?),
                _ => return None,
            }
        }
        Some(Self { secret: secret?, return_to: return_to? })
    }

    pub(crate) fn cookie(&self) -> Cookie<'static> {
        let mut value = form_urlencoded::Serializer::new(String::new());
        value.append_pair("secret", self.secret.expose_secret()).append_pair("return_to", self.return_to.as_str());
        let mut cookie = bare(value.finish());
        cookie.set_max_age(LIFE);
        cookie
    }

    pub(crate) fn state(&self) -> CsrfToken {
        CsrfToken::new(self.derive("state"))
    }

    pub(crate) fn nonce(&self) -> Nonce {
        Nonce::new(self.derive("nonce"))
    }

    pub(crate) fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.derive("pkce"))
    }

    /// Compared as hashes: the time it takes tells nothing of the right one.
    pub(crate) fn has_state(&self, given: &str) -> bool {
        credential::hash(given) == credential::hash(self.state().secret())
    }

    fn derive(&self, purpose: &str) -> String {
        let hash = credential::hash(&format!("berth-oidc-{purpose}:{}", self.secret.expose_secret()));
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Takes the cookie away: an attempt is made once.
pub(crate) fn no_cookie() -> Cookie<'static> {
    let mut gone = bare(String::new());
    gone.make_removal();
    gone
}

fn bare(value: String) -> Cookie<'static> {
    Cookie::build((COOKIE, value)).path("/").secure(true).http_only(true).same_site(SameSite::Lax).build()
}
