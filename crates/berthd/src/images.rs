//! What the API asks of the registry, answered by the registry's crate.

use async_trait::async_trait;
use berth_api::Images;
use berth_core::image::ImageRef;
use berth_core::registry::{Catalogue, Resolved, Unresolved};
use tokio::time::Instant;

use crate::config::Config;

#[derive(Debug)]
pub(crate) struct Registry(berth_registry::Registry);

impl Registry {
    /// # Errors
    /// When it cannot be asked as configured.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let credentials = config.cluster.pulls.as_ref().map(|pulls| pulls.credentials.clone());
        let (name, ours) = (&config.api.images.registry, config.cluster.agent_image.as_str());
        Ok(Self(berth_registry::Registry::new(name, &config.registry, credentials, &[ours])?))
    }
}

#[async_trait]
impl Images for Registry {
    async fn resolve(&self, image: &ImageRef) -> Result<Resolved, Unresolved> {
        self.0.resolve(image, Instant::now()).await
    }

    async fn catalogue(&self) -> Catalogue {
        self.0.catalogue(Instant::now()).await
    }
}
