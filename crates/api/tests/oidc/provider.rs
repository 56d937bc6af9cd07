//! The provider of `e2e/oidc`, and a browser for it: a client that follows redirects and keeps cookies.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::header::{LOCATION, SET_COOKIE};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use url::Url;

pub(crate) struct Provider {
    pub(crate) issuer: String,
    process: Child,
    client: Client,
}

impl Provider {
    /// With `redirect` as the only place where it sends browsers back to.
    pub(crate) fn start(redirect: &str) -> Self {
        // Another test of this process may have been first.
        let _installed = rustls::crypto::ring::default_provider().install_default().is_ok();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/oidc");
        assert!(folder.join("node_modules/oidc-provider").exists(), "npm ci --prefix e2e/oidc");
        let mut process = Command::new("node")
            .args(["provider.mjs", redirect])
            .current_dir(folder)
            // It ends with us: its standard input does.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Node.js is needed");
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let issuer = lines.map(Result::unwrap).find(|line| line.starts_with("http://")).expect("the provider's issuer");
        Self { issuer, process, client: Client::new() }
    }

    async fn control(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.post(format!("{}/test/{path}", self.issuer)).json(body).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// Who is logged in from now on.
    pub(crate) async fn account(&self, name: &str) {
        self.control("account", &json!({ "account": name })).await;
    }

    pub(crate) async fn rotate(&self) {
        self.control("rotate", &json!({})).await;
    }

    /// A token that the provider's own key signed.
    pub(crate) async fn sign(&self, claims: &Value, header: &Value, key: &str) -> String {
        let body = json!({ "claims": claims, "header": header, "key": key });
        self.control("sign", &body).await["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn counts(&self) -> Value {
        self.client.get(format!("{}/test/counts", self.issuer)).send().await.unwrap().json().await.unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("ending the provider");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        assert!(ended.is_ok() || std::thread::panicking(), "ending the provider");
    }
}

/// Cookies by host and port, which real browsers do not tell apart; here nothing depends on it.
#[derive(Default)]
pub(crate) struct Browser {
    jar: BTreeMap<String, BTreeMap<String, String>>,
}

pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn cookie(&self, url: &str, name: &str) -> Option<String> {
        self.jar.get(&origin(&Url::parse(url).unwrap()))?.get(name).cloned()
    }

    pub(crate) fn forget(&mut self) {
        self.jar.clear();
    }

    /// One request, no redirect followed.
    pub(crate) async fn get(&mut self, url: &Url, accept: &str) -> Page {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let jar = self.jar.entry(origin(url)).or_default();
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = client.get(url.clone()).header("Cookie", cookies.join("; ")).header("Accept", accept);
        let answer = request.send().await.unwrap();
        for line in answer.headers().get_all(SET_COOKIE) {
            let (name, value) = line.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            match value {
                "" => jar.remove(name),
                value => jar.insert(name.to_owned(), value.to_owned()),
            };
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        Page { status, headers, body: answer.text().await.unwrap() }
    }

    /// Follows redirects until `stop` says of the next address that it is enough, or there is none.
    pub(crate) async fn follow(&mut self, url: &str, stop: impl Fn(&Url) -> bool) -> Result<Url, Page> {
        let mut url = Url::parse(url).unwrap();
        for _ in 0..20 {
            if stop(&url) {
                return Ok(url);
            }
            let page = self.get(&url, "text/html").await;
            match page.headers.get(LOCATION) {
                Some(to) => url = url.join(to.to_str().unwrap()).unwrap(),
                None => return Err(page),
            }
        }
        panic!("gave up following redirects at {url}");
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
