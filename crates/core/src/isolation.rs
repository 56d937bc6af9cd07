//! What a cluster has shown of how it isolates what it runs. Shown by a canary, never assumed.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// A pod that a network policy cuts off could not reach what its neighbour could.
    pub policies_enforced: bool,
    /// Root in a pod is nobody on its node.
    pub user_namespaces: bool,
}
