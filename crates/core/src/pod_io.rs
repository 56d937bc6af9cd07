//! Why a container's log or a shell in it cannot be had, in words that its owner may read.

/// A failure to reach into a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// There is no running container, or none that has written a log.
    #[error("{0}")]
    NotRunning(String),
    /// The image holds nothing that a terminal could start.
    #[error("this image has no /bin/sh, so no terminal can be opened in it")]
    NoShell,
    /// The cluster does not answer or cannot do it: which part of it, without its addresses and accounts.
    #[error("Kubernetes could not do this: {0}")]
    Cluster(String),
    /// The rows cannot be read.
    #[error("the database does not answer; try again in a moment")]
    Database,
}
