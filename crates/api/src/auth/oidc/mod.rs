//! People of an OIDC issuer: their tokens as bearers, and logins of browsers by authorisation code with PKCE.
//!
//! Only the issuer and the subject identify somebody. Names are labels that people choose at the issuer: never do they
//! lead to another account, nor make an administrator.

mod attempt;
mod config;
mod http;
mod issuer;
mod token;

use std::sync::Arc;

use axum::http::{StatusCode, header};
use berth_core::access::Reach;
use berth_core::audit::Origin;
use berth_core::name::Username;
use berth_core::user::User;
use berth_store::OutsideUser;
use chrono::{DateTime, Utc};
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    IssuerUrl, OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, RequestTokenError, Scope, TokenResponse,
};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use url::Url;

use crate::error::{Kind, Problem};
use crate::state::Api;

pub(crate) use attempt::{Attempt, COOKIE, no_cookie};
pub(crate) use config::check;
pub use config::{AdminGroup, OidcConfig};
use issuer::{Issuer, Known};
use token::{Claims, Person, Refused, Use, verify};

/// Where the issuer sends browsers back to.
pub(crate) const CALLBACK: &str = "/auth/oidc/callback";

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

#[derive(Debug)]
pub(crate) struct Oidc {
    pub(crate) config: OidcConfig,
    redirect: RedirectUrl,
    issuer: Issuer,
    http: http::Client,
}

/// How a login ended that the issuer spoke on.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nobody was logged in, for this reason.
    Refused(String),
    /// The issuer did not answer as it should.
    Down(Problem),
}

impl Oidc {
    /// Of a configuration that was checked.
    ///
    /// # Errors
    /// A sentence, when the configuration was not.
    pub(crate) fn new(config: OidcConfig, public_url: &Url) -> Result<Self, String> {
        let issuer = IssuerUrl::new(config.issuer.clone()).map_err(|error| error.to_string())?;
        let redirect = public_url.join(CALLBACK).map_err(|error| error.to_string())?;
        let http = http::Client::new().map_err(|error| error.to_string())?;
        Ok(Self { config, redirect: RedirectUrl::from_url(redirect), issuer: Issuer::new(issuer), http })
    }

    /// Whether a token says that it is of this issuer. Not verified: it decides only who is asked.
    pub(crate) fn claims_to_be_ours(&self, token: &str) -> bool {
        let claims = token::claims(token);
        claims.is_some_and(|claims| claims.get("iss").and_then(|iss| iss.as_str()) == Some(self.issuer.url.as_str()))
    }

    /// Where a browser is sent to log in.
    ///
    /// # Errors
    /// 503 when the issuer does not answer.
    pub(crate) async fn login_url(&self, attempt: &Attempt) -> Result<Url, Problem> {
        let known = self.issuer.known(&self.http).await?;
        let client = self.client(&known);
        let (state, nonce) = (attempt.state(), attempt.nonce());
        let request = client.authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce);
        let scopes = self.config.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new);
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&attempt.verifier());
        Ok(request.add_scopes(scopes).set_pkce_challenge(challenge).url().0)
    }

    /// Exchanges the code that the browser brought, and reads who logged in.
    pub(crate) async fn finish(&self, attempt: &Attempt, code: String, now: DateTime<Utc>) -> Result<Person, Failed> {
        let known = self.issuer.known(&self.http).await.map_err(Failed::Down)?;
        let client = self.client(&known);
        let exchange = client.exchange_code(AuthorizationCode::new(code));
        let exchange = exchange.map_err(|error| Failed::Down(self.issuer.down(&error)))?;
        let answer = exchange.set_pkce_verifier(attempt.verifier()).request_async(&self.http).await.map_err(
            |error| match error {
                RequestTokenError::ServerResponse(answer) => {
                    Failed::Refused(format!("the issuer said {}", answer.error()))
                }
                other => Failed::Down(self.issuer.down(&other)),
            },
        )?;
        let token = answer.id_token().ok_or_else(|| Failed::Refused("the issuer gave no ID token".to_owned()))?;
        let nonce = attempt.nonce();
        let verified = self.verified(&token.to_string(), Use::Login(&nonce), now).await.map_err(Failed::Down)?;
        let mut claims = verified
            .map_err(|refused| Failed::Refused(format!("the issuer's ID token is not acceptable: {refused}")))?;
        if !claims.say_all(&self.config) {
            claims.add(self.userinfo(&known, answer.access_token()).await?);
        }
        Ok(claims.person(&self.config, &self.issuer.url))
    }

    /// Many issuers tell names and groups here only. An issuer without it has told all it tells.
    async fn userinfo(&self, known: &Known, token: &AccessToken) -> Result<Map<String, Value>, Failed> {
        let Some(url) = known.metadata.userinfo_endpoint() else { return Ok(Map::new()) };
        let request =
            ::http::Request::get(url.as_str()).header(header::AUTHORIZATION, format!("Bearer {}", token.secret()));
        let request = request.header(header::ACCEPT, "application/json").body(Vec::new());
        let answer =
            async { self.http.send(request?).await }.await.map_err(|error| Failed::Down(self.issuer.down(&error)))?;
        if answer.status() != StatusCode::OK {
            return Err(Failed::Refused(format!("the issuer's userinfo answered {}", answer.status())));
        }
        serde_json::from_slice(answer.body())
            .map_err(|_| Failed::Refused("the issuer's userinfo is no JSON object".to_owned()))
    }

    /// Whether a parameter of the redirect names this issuer (RFC 9207).
    pub(crate) fn is(&self, iss: &str) -> bool {
        iss == self.issuer.url.as_str()
    }

    /// Verifies, and asks the issuer for its keys once more where the token names one that is not known.
    async fn verified(
        &self,
        text: &str,
        purpose: Use<'_>,
        now: DateTime<Utc>,
    ) -> Result<Result<Claims, Refused>, Problem> {
        let known = self.issuer.known(&self.http).await?;
        let try_with =
            |known: &Known| verify(&self.config, &self.issuer.url, known.metadata.jwks(), text, purpose, now);
        match try_with(&known) {
            Err(Refused::UnknownKey) => match self.issuer.newer(&self.http, &known).await? {
                Some(newer) => Ok(try_with(&newer)),
                None => Ok(Err(Refused::UnknownKey)),
            },
            decided => Ok(decided),
        }
    }

    fn client(&self, known: &Arc<Known>) -> Client {
        let secret =
            self.config.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let id = ClientId::new(self.config.client_id.clone());
        let client = CoreClient::from_provider_metadata(known.metadata.clone(), id, secret);
        let client = client.set_redirect_uri(self.redirect.clone());
        // Basic is the default of the standard; some issuers offer the other only.
        match known.metadata.token_endpoint_auth_methods_supported() {
            Some(ways) if !ways.contains(&CoreClientAuthMethod::ClientSecretBasic) => {
                client.set_auth_type(AuthType::RequestBody)
            }
            Some(_) | None => client,
        }
    }
}

/// The user behind a bearer token of the issuer's.
pub(super) async fn user(
    api: &Api,
    oidc: &Oidc,
    text: &str,
    origin: &Origin,
) -> Result<(User, Reach, Option<DateTime<Utc>>), Problem> {
    let person = match oidc.verified(text, Use::Bearer, origin.at).await? {
        Ok(claims) => claims.person(&oidc.config, &oidc.issuer.url),
        Err(refused) => {
            let detail = format!("the token of {} is not acceptable: {refused}", oidc.config.issuer);
            return Err(Problem::new(Kind::Unauthenticated, detail));
        }
    };
    let user = provision(api, &person, None, origin).await?;
    let is_admin = user.is_admin || person.is_admin;
    Ok((User { is_admin, ..user }, Reach::Login, Some(person.expires_at)))
}

/// The user's row, made at first sight. After a login the row says what the issuer's groups say.
pub(crate) async fn provision(
    api: &Api,
    person: &Person,
    is_admin: Option<bool>,
    origin: &Origin,
) -> Result<User, berth_store::Error> {
    // The configured administrator's name is kept for whom it is meant for, who may not have been here yet.
    let reserved = api.config.admin_username.as_ref() == Some(&person.username);
    let other = Username::from_claim(&format!("{}-oidc", person.username));
    let username = if reserved { &other } else { &person.username };
    let seen = OutsideUser { subject: &person.subject, id: None, username, is_admin };
    api.store.provision_user(seen, origin).await
}
