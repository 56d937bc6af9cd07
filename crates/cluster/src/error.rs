//! What can go wrong with the cluster.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the cluster's credentials cannot be read: {0}")]
    Credentials(String),
    #[error("the Kubernetes API server")]
    Kube(#[from] kube::Error),
    #[error("the database")]
    Store(#[from] berth_store::Error),
    #[error("an object cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The cluster refused an object for good: its own words.
    #[error("the cluster refused: {0}")]
    Refused(String),
    #[error("the cluster does not know routes.berth.dev: kubectl apply -f deploy/crd-routes.yaml")]
    NoRoutes,
    #[error("gave up waiting for {0}")]
    Deadline(&'static str),
}

impl From<kube::config::KubeconfigError> for Error {
    fn from(error: kube::config::KubeconfigError) -> Self {
        Self::Credentials(error.to_string())
    }
}

impl Error {
    /// The HTTP code of the API server's answer, if it answered.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status.code),
            Self::Kube(_)
            | Self::Credentials(_)
            | Self::Store(_)
            | Self::Json(_)
            | Self::Refused(_)
            | Self::NoRoutes
            | Self::Deadline(_) => None,
        }
    }
}
