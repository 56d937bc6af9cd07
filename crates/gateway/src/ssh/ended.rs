//! Why a connection is over.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// One of its ends closed it, or is not there any more.
    Left,
    /// The key was removed, SSH was turned off, or the container was deleted.
    Withdrawn,
    /// The gateway stops.
    Stopping,
}
