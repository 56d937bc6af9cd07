//! The Secret with which nodes pull from a private registry. Its value is in the open only in the object that is sent to the
//! cluster: never in a Debug, and in hashes only as a hash of its own.

use berth_core::names::PULL_SECRET;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ApiResource;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::build::Object;
use crate::config::Pulls;

const KIND: &str = "kubernetes.io/dockerconfigjson";

#[derive(Debug, Clone)]
pub(crate) struct PullSecret {
    /// What `docker login` would write.
    config: SecretString,
    labels: Value,
}

impl PullSecret {
    pub(crate) fn new(pulls: &Pulls, labels: &Value) -> Self {
        let (username, password) = (&pulls.credentials.username, pulls.credentials.password.expose_secret());
        let config = json!({ "auths": { (pulls.registry.as_str()): { "username": username, "password": password } } });
        Self { config: SecretString::from(config.to_string()), labels: labels.clone() }
    }

    /// How a pod names it.
    pub(crate) fn names() -> Value {
        json!([{ "name": PULL_SECRET }])
    }

    /// Changes when the credentials do, and does not give them away: what it stands in is stored in the open.
    pub(crate) fn fingerprint(&self) -> String {
        let digest = Sha256::new().chain_update("berth pull secret\0").chain_update(self.labels.to_string());
        let digest = digest.chain_update(self.config.expose_secret()).finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Ready to be sent; not to be kept.
    pub(crate) fn exposed(&self) -> Object {
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": PULL_SECRET, "labels": self.labels },
            "type": KIND,
            "stringData": { ".dockerconfigjson": self.config.expose_secret() },
        });
        Object { resource: ApiResource::erase::<Secret>(&()), name: PULL_SECRET, body }
    }
}

#[cfg(test)]
mod tests {
    use berth_core::registry::Credentials;

    use super::*;

    fn of(password: &str) -> PullSecret {
        let credentials = Credentials { username: "berth".to_owned(), password: SecretString::from(password) };
        let pulls = Pulls { registry: "r.example".to_owned(), credentials };
        PullSecret::new(&pulls, &json!({ "a": "b" }))
    }

    #[test]
    fn what_a_node_is_given() {
        insta::assert_json_snapshot!(of("a\"b").exposed().body, @r#"
        {
          "apiVersion": "v1",
          "kind": "Secret",
          "metadata": {
            "labels": {
              "a": "b"
            },
            "name": "registry"
          },
          "stringData": {
            ".dockerconfigjson": "{\"auths\":{\"r.example\":{\"password\":\"a\\\"b\",\"username\":\"berth\"}}}"
          },
          "type": "kubernetes.io/dockerconfigjson"
        }
        "#);
    }

    #[test]
    fn it_is_told_apart_and_not_given_away() {
        let (one, two) = (of("right"), of("wrong"));
        assert_ne!(one.fingerprint(), two.fingerprint());
        assert_eq!(one.fingerprint(), of("right").fingerprint());
        assert!(!format!("{one:?}").contains("right"));
    }
}
