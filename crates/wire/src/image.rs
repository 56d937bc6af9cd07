//! Images to choose from.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "team/app:1.2", "image": "registry.berth.internal/team/app:1.2", "source": "registry" }))]
pub struct Image {
    /// What a built-in image is called, or `repository:tag`.
    pub name: String,
    /// What a new container's `image` is set to.
    pub image: String,
    pub source: ImageSource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImageSource {
    /// Of the configuration.
    Builtin,
    /// Of the internal registry.
    Registry,
}
