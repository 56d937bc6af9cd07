//! What the API asks of the registry, and what it makes of the answers.

use std::fmt;

use async_trait::async_trait;
use berth_core::Invalid;
use berth_core::image::{ImagePolicy, ImageRef};
use berth_core::instance::InstanceType;
use berth_core::registry::{Catalogue, ImageDigest, Lacking, Resolved, Unresolved};

use crate::error::{Kind, Problem};

#[async_trait]
pub trait Images: Send + Sync + fmt::Debug + 'static {
    /// What a reference stands for now. Answers within seconds.
    async fn resolve(&self, image: &ImageRef) -> Result<Resolved, Unresolved>;
    /// What the registry offers, half a minute old at most. Answers within seconds.
    async fn catalogue(&self) -> Catalogue;
}

/// The digest of an image that a container is to be created from; `None` for a built-in one whose registry cannot be asked.
///
/// # Errors
/// 422 when it is not there or does not run on the instance type, 503 when its registry does not answer.
pub(crate) async fn admit(
    images: &dyn Images,
    policy: &ImagePolicy,
    image: &ImageRef,
    kind: &InstanceType,
) -> Result<Option<ImageDigest>, Problem> {
    let registry = &policy.registry;
    let wrong = |detail: String| Err(Invalid::new("image", detail).into());
    match images.resolve(image).await {
        Ok(resolved) => {
            resolved.admit(image, kind)?;
            Ok(Some(resolved.digest))
        }
        // The nodes may have it, and may pull from where berthd does not.
        Err(Unresolved::NoAnswer | Unresolved::Elsewhere | Unresolved::Forbidden) if policy.is_builtin(image) => {
            Ok(None)
        }
        Err(Unresolved::Absent) => {
            wrong(format!("the registry {registry} has no {image}; GET /compute/images lists what it has"))
        }
        Err(Unresolved::NotAnImage) => wrong(format!("{image} is in the registry, but is no image of a container")),
        Err(Unresolved::Forbidden) => wrong(format!(
            "the registry {registry} does not show {image}: it is not there, or Berth's credentials do not cover it"
        )),
        Err(Unresolved::Elsewhere) => wrong(format!("an image is a built-in one or comes from {registry}")),
        Err(Unresolved::NoAnswer) => Err(Problem::new(
            Kind::RegistryUnavailable,
            format!("the registry {registry} does not answer, so the image cannot be checked; try again in a moment"),
        )),
    }
}

/// What a catalogue lacks, for people.
pub(crate) fn warning(lacking: Lacking, registry: &str) -> String {
    match lacking {
        Lacking::NoAnswer => format!("the registry {registry} does not answer: its images are not listed"),
        Lacking::Forbidden => format!("the registry {registry} does not let Berth list its images"),
        Lacking::TooMany => format!("the registry {registry} has more images than are listed"),
    }
}
