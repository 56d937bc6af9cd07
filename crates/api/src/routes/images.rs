//! Images to choose from.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use berth_core::access::ListContainers;
use berth_core::image::ImagePolicy;
use berth_core::registry::Catalogue;
use berth_wire::{Image, ImageSource};

use crate::auth::Caller;
use crate::error::Problem;
use crate::images::warning;
use crate::state::Api;

/// The images to choose from: the built-in ones, then every repository and tag of the registry, half a minute old at most. When
/// the registry does not answer, the built-in ones alone, and a `Warning` header that says so.
#[utoipa::path(get, path = "/compute/images", tag = "containers", operation_id = "list_images",
    responses((status = 200, body = [Image], headers(("Warning" = String, description = "Only when the list is not complete: why, in a sentence.")))))]
pub(crate) async fn list(State(api): State<Api>, caller: Caller) -> Result<(HeaderMap, Json<Vec<Image>>), Problem> {
    caller.actor.may_account::<ListContainers>()?;
    let policy = &api.config.images;
    let catalogue = api.images.catalogue().await;
    let mut headers = HeaderMap::new();
    let words = catalogue.lacking.map(|lacking| format!("199 berth \"{}\"", warning(lacking, &policy.registry)));
    if let Some(value) = words.and_then(|words| HeaderValue::try_from(words).ok()) {
        headers.insert(header::WARNING, value);
    }
    Ok((headers, Json(offered(policy, catalogue))))
}

/// A built-in image that the registry has too is listed once.
fn offered(policy: &ImagePolicy, catalogue: Catalogue) -> Vec<Image> {
    let builtins = policy.builtins.iter().map(|builtin| Image {
        name: builtin.name.clone(),
        image: builtin.image.clone(),
        source: ImageSource::Builtin,
    });
    let tagged = catalogue.images.into_iter().filter(|offered| !policy.is_builtin(&offered.image));
    let tagged = tagged.map(|offered| Image {
        name: offered.name,
        image: offered.image.to_string(),
        source: ImageSource::Registry,
    });
    builtins.chain(tagged).collect()
}
