use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{Config, Error, Shared};

#[derive(Debug)]
pub(crate) struct Listeners;

impl Listeners {
    pub(crate) async fn bind(_config: &Config) -> Result<Self, Error> {
        Ok(Self)
    }

    pub(crate) async fn serve(self, _shared: Arc<Shared>, stop: CancellationToken) {
        stop.cancelled().await;
    }
}
