//! What the agent's SSH server and the gateway's have in common: the algorithms that are offered, and channels that hold up
//! no other channel of their connection.

mod algorithms;
mod channel;
mod gate;
mod relay;

pub use algorithms::{preferred, server_config, sound};
pub use channel::{Inlet, Waiting, Writer, read_from};
pub use gate::{Budget, Gate, KEYS_AFTER, PAUSE, WINDOW};
pub use relay::{LAST_WORDS, relay};
