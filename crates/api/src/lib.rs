//! The HTTP and WebSocket interface. A handler authorises, validates, writes intent to the row and answers; it starts
//! nothing. `router` is the table of all of it, `error` the only place that knows HTTP's error words.

mod auth;
mod body;
mod description;
mod error;
mod idempotency;
mod images;
mod page;
pub mod pod_io;
mod request_id;
mod router;
mod routes;
mod sockets;
mod state;
mod waits;

pub use auth::oidc::{AdminGroup, OidcConfig};
pub use auth::{credential, password};
pub use images::Images;
pub use pod_io::PodIo;
pub use router::{openapi, openapi_json, router};
pub use state::{Api, Config, Platform};
