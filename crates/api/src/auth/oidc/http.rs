//! How the issuer is asked: one client, no redirects (a document must come from where it was asked for), in bounded time
//! and of bounded size.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

const TIMEOUT: Duration = Duration::from_secs(5);
/// A discovery document or a key set has a few kilobytes.
const LIMIT: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no answer")]
    Request(#[from] reqwest::Error),
    #[error("no answer that can be read")]
    Answer(#[from] http::Error),
    #[error("the answer is larger than {LIMIT} bytes")]
    TooLarge,
}

#[derive(Debug, Clone)]
pub(crate) struct Client(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Client {
    type Error = Error;
    type Future = BoxFuture<'c, Result<HttpResponse, Error>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.send(request).boxed()
    }
}

impl Client {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT);
        client.user_agent(concat!("berthd/", env!("CARGO_PKG_VERSION"))).build().map(Self)
    }

    pub(crate) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let (parts, body) = request.into_parts();
        let request = self.0.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let mut answer = request.send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > LIMIT {
                return Err(Error::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = http::Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        Ok(response.body(body)?)
    }
}
