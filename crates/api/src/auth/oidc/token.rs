//! Verifies a token of the issuer and reads from it who somebody is.

use berth_core::name::Username;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{
    ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl, JsonWebKeySet, JsonWebTokenType, Nonce,
    SignatureVerificationError,
};
use serde_json::{Map, Value};

use super::OidcConfig;

/// How far the issuer's clock may be from ours.
pub(crate) const SKEW: TimeDelta = TimeDelta::seconds(60);
/// OpenID Connect Core 1.0, section 2.
const MAX_SUBJECT: usize = 255;

/// Asymmetric ones only: with a shared secret, whoever can verify a token can make one.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Who a verified token speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// `oidc:<issuer>#<sub>`.
    pub(crate) subject: String,
    pub(crate) username: Username,
    /// What the token itself says.
    pub(crate) is_admin: bool,
    pub(crate) expires_at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The key may be newer than what we know.
    #[error("no key of the issuer's has this name")]
    UnknownKey,
    #[error("{0}")]
    Bad(String),
}

/// What a token is shown for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use<'a> {
    /// The end of a login of ours: an ID token for us, with our nonce.
    Login(&'a Nonce),
    /// A bearer: an ID token for us, or an access token for the configured audience.
    Bearer,
}

pub(crate) fn verify(
    config: &OidcConfig,
    issuer: &IssuerUrl,
    keys: &JsonWebKeySet<CoreJsonWebKey>,
    text: &str,
    purpose: Use<'_>,
    now: DateTime<Utc>,
) -> Result<Claims, Refused> {
    let token: CoreIdToken = text.parse().map_err(|_| Refused::Bad("it is no signed token".to_owned()))?;
    let verifier = |audience: &str| {
        let client = ClientId::new(audience.to_owned());
        let verifier: CoreIdTokenVerifier<'_> =
            IdTokenVerifier::new_public_client(client, issuer.clone(), keys.clone());
        let issued = move |at| if at > now + SKEW { Err("it comes from the future".to_owned()) } else { Ok(()) };
        verifier.set_allowed_algs(ALGORITHMS).set_time_fn(move || now - SKEW).set_issue_time_verifier_fn(issued)
    };
    let own = verifier(&config.client_id);
    match (purpose, &config.audience) {
        (Use::Login(nonce), _) => token.claims(&own, nonce).map(drop),
        (Use::Bearer, None) => token.claims(&own, any_nonce).map(drop),
        (Use::Bearer, Some(audience)) => match token.claims(&own, any_nonce).map(drop) {
            // An access token: of a type of its own, and often for the issuer's own endpoints as well.
            Err(ClaimsVerificationError::InvalidAudience(_) | ClaimsVerificationError::Unsupported(_)) => {
                let types = ["JWT", "at+jwt"].map(|name| JsonWebTokenType::new(name.to_owned()).normalize());
                let access = verifier(audience).set_allowed_jose_types(types.into_iter().flatten());
                token.claims(&access.set_other_audience_verifier_fn(|_| true), any_nonce).map(drop)
            }
            other => other,
        },
    }
    .map_err(refused)?;
    Claims::new(claims(text).unwrap_or_default(), now)
}

/// The claims of a token that nobody has verified yet.
pub(crate) fn claims(text: &str) -> Option<Map<String, Value>> {
    jsonwebtoken::dangerous::insecure_decode_claims(text).ok()
}

/// Nonces belong to logins.
fn any_nonce(_: Option<&Nonce>) -> Result<(), String> {
    Ok(())
}

fn refused(error: ClaimsVerificationError) -> Refused {
    match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            Refused::UnknownKey
        }
        other => Refused::Bad(other.to_string()),
    }
}

/// The claims of a verified token.
#[derive(Debug)]
pub(crate) struct Claims {
    sub: String,
    expires_at: DateTime<Utc>,
    all: Map<String, Value>,
}

impl Claims {
    fn new(all: Map<String, Value>, now: DateTime<Utc>) -> Result<Self, Refused> {
        let bad = |what: &str| Refused::Bad(what.to_owned());
        let time =
            |name: &str| all.get(name).and_then(Value::as_f64).and_then(|s| DateTime::from_timestamp(s as i64, 0));
        if time("nbf").is_some_and(|at| at > now + SKEW) {
            return Err(bad("it is not valid yet"));
        }
        let sub = text(&all, "sub").filter(|sub| sub.len() <= MAX_SUBJECT);
        let sub = sub.ok_or_else(|| bad("it has no usable subject"))?.to_owned();
        let expires_at = time("exp").ok_or_else(|| bad("it does not expire"))? + SKEW;
        Ok(Self { sub, expires_at, all })
    }

    /// Whether the token itself tells all that is read from one.
    pub(crate) fn say_all(&self, config: &OidcConfig) -> bool {
        let grouped = config.admin_group.as_ref().is_none_or(|group| self.all.contains_key(&group.claim));
        grouped && self.name(config).is_some()
    }

    /// Takes in what the issuer's userinfo says of the same subject; of another, nothing.
    pub(crate) fn add(&mut self, userinfo: Map<String, Value>) {
        if text(&userinfo, "sub") == Some(&self.sub) {
            for (name, value) in userinfo {
                self.all.entry(name).or_insert(value);
            }
        }
    }

    pub(crate) fn person(&self, config: &OidcConfig, issuer: &IssuerUrl) -> Person {
        let is_admin = config.admin_group.as_ref().is_some_and(|group| match self.all.get(&group.claim) {
            Some(Value::Array(values)) => values.iter().any(|value| value.as_str() == Some(&group.value)),
            Some(Value::String(value)) => *value == group.value,
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
        });
        Person {
            subject: format!("oidc:{}#{}", issuer.as_str(), self.sub),
            username: Username::from_claim(self.name(config).unwrap_or(&self.sub)),
            is_admin,
            expires_at: self.expires_at,
        }
    }

    fn name(&self, config: &OidcConfig) -> Option<&str> {
        match &config.username_claim {
            Some(claim) => text(&self.all, claim),
            None => text(&self.all, "preferred_username").or_else(|| text(&self.all, "email")),
        }
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(extra: &Value) -> OidcConfig {
        let mut all = json!({ "issuer": "https://issuer.example", "client_id": "berth" });
        all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn read(claims: &Value, now: DateTime<Utc>) -> Result<Claims, Refused> {
        Claims::new(claims.as_object().unwrap().clone(), now)
    }

    #[test]
    fn who_somebody_is() {
        let group = json!({ "admin_group": { "claim": "groups", "value": "admins" } });
        for (extra, claims, username, is_admin) in [
            (json!({}), json!({ "preferred_username": "Ann", "email": "b@example.com" }), "ann", false),
            (json!({}), json!({ "email": "b@example.com", "groups": ["admins"] }), "b@example.com", false),
            (json!({}), json!({ "preferred_username": 7 }), "s-1", false),
            (json!({ "username_claim": "upn" }), json!({ "preferred_username": "ann", "upn": "x" }), "x", false),
            (json!({ "username_claim": "upn" }), json!({ "preferred_username": "ann" }), "s-1", false),
            (group.clone(), json!({ "groups": ["staff", "admins"] }), "s-1", true),
            (group.clone(), json!({ "groups": "admins" }), "s-1", true),
            (group.clone(), json!({ "groups": ["administrators"] }), "s-1", false),
            (group.clone(), json!({ "groups": { "admins": true } }), "s-1", false),
        ] {
            let mut all = json!({ "sub": "S|1", "exp": 1_000 });
            all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            let config = config(&extra);
            let issuer = IssuerUrl::new(config.issuer.clone()).unwrap();
            let person = read(&all, DateTime::UNIX_EPOCH).unwrap().person(&config, &issuer);
            assert_eq!((person.username.as_str(), person.is_admin), (username, is_admin), "{claims}");
            assert_eq!(person.subject, "oidc:https://issuer.example#S|1");
        }
    }

    #[test]
    fn userinfo_of_another_subject_says_nothing() {
        let config = config(&json!({}));
        let mut claims = read(&json!({ "sub": "1", "exp": 1_000 }), DateTime::UNIX_EPOCH).unwrap();
        let info = |sub: &str| json!({ "sub": sub, "preferred_username": "ann" }).as_object().unwrap().clone();
        claims.add(info("2"));
        assert!(!claims.say_all(&config));
        claims.add(info("1"));
        assert!(claims.say_all(&config));
    }

    #[test]
    fn what_is_not_usable() {
        let long = "x".repeat(256);
        for claims in [
            json!({ "exp": 1_000 }),
            json!({ "sub": "", "exp": 1_000 }),
            json!({ "sub": 7, "exp": 1_000 }),
            json!({ "sub": long, "exp": 1_000 }),
            json!({ "sub": "1" }),
            json!({ "sub": "1", "exp": 1_000, "nbf": 61 }),
        ] {
            assert!(read(&claims, DateTime::UNIX_EPOCH).is_err(), "{claims}");
        }
        assert!(read(&json!({ "sub": "1", "exp": 1_000, "nbf": 60 }), DateTime::UNIX_EPOCH).is_ok(), "within the skew");
    }
}
