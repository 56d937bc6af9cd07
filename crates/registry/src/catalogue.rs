//! Every repository and every tag.

use std::time::Duration;

use berth_core::image::ImageRef;
use berth_core::registry::{Catalogue, Lacking, Offered};
use futures::{StreamExt, TryStreamExt, stream};
use oci_client::Reference;
use oci_client::errors::OciDistributionError as Error;
use tokio::time::{Instant, timeout_at};

use crate::pages::{self, PAGE};
use crate::resolve::{Answer, answer};
use crate::{Kept, Registry};

/// A new tag is listed within this.
const FRESH: Duration = Duration::from_secs(20);
/// How long a registry that did not answer is left alone.
const RETRY: Duration = Duration::from_secs(3);
/// For all pages together. What was read until then is shown.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_REPOSITORIES: usize = 2000;
const MOST_IMAGES: usize = 5000;
/// Repositories asked for their tags at once.
const AT_ONCE: usize = 8;

impl Registry {
    /// What the registry offers, at most half a minute old. When it does not answer, that is nothing: an image that cannot be
    /// checked cannot be created from either.
    pub async fn catalogue(&self, now: Instant) -> Catalogue {
        let mut kept = self.catalogue.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.until > now) {
            return kept.value.clone();
        }
        let (value, believed) = match self.read_catalogue(Instant::now() + PATIENCE).await {
            Ok(Some(read)) => (read, FRESH),
            Err(error) => {
                tracing::warn!(registry = self.name, error = &error as &dyn std::error::Error, "it cannot be listed");
                match answer(&error) {
                    Answer::Forbidden => (nothing(Lacking::Forbidden), RETRY),
                    Answer::Absent | Answer::Unreadable | Answer::None => (nothing(Lacking::NoAnswer), RETRY),
                }
            }
            Ok(None) => {
                tracing::warn!(registry = self.name, "it takes too long to list");
                (nothing(Lacking::NoAnswer), RETRY)
            }
        };
        *kept = Some(Kept { until: now + believed, value: value.clone() });
        value
    }

    /// `None` when the deadline passes before there is anything to show.
    async fn read_catalogue(&self, deadline: Instant) -> Result<Option<Catalogue>, Error> {
        let anything = &Reference::with_tag(self.authority.clone(), "any".to_owned(), "any".to_owned());
        let auth = &self.auth();
        let page = |last: Option<String>| async move {
            self.client.catalog(anything, auth, Some(PAGE), last.as_deref()).await.map(|page| page.repositories)
        };
        let Ok(read) = timeout_at(deadline, pages::all(MOST_REPOSITORIES, page)).await else { return Ok(None) };
        let (repositories, mut whole) = read?;
        let shown = repositories.into_iter().filter(|repository| !self.hidden.contains(repository));
        let mut tagged = stream::iter(shown.map(|repository| self.tags(repository))).buffered(AT_ONCE);
        let mut images = Vec::new();
        loop {
            let Ok(next) = timeout_at(deadline, tagged.try_next()).await else {
                if images.is_empty() {
                    return Ok(None);
                }
                whole = false;
                break;
            };
            let Some((repository, tags, all)) = next? else { break };
            whole &= all;
            images.extend(tags.iter().filter_map(|tag| self.offered(&repository, tag)));
            if images.len() > MOST_IMAGES {
                images.truncate(MOST_IMAGES);
                whole = false;
                break;
            }
        }
        Ok(Some(Catalogue { images, lacking: (!whole).then_some(Lacking::TooMany) }))
    }

    /// A repository without a tag that may be seen has none to offer.
    async fn tags(&self, repository: String) -> Result<(String, Vec<String>, bool), Error> {
        let any_tag = &Reference::with_tag(self.authority.clone(), repository.clone(), "any".to_owned());
        let auth = &self.auth();
        let page = |last: Option<String>| async move {
            self.client.list_tags(any_tag, auth, Some(PAGE), last.as_deref()).await.map(|page| page.tags)
        };
        match pages::all(MOST_IMAGES, page).await {
            Ok((mut tags, whole)) => {
                tags.sort_unstable();
                Ok((repository, tags, whole))
            }
            Err(error) => match answer(&error) {
                Answer::Absent | Answer::Forbidden => Ok((repository, Vec::new(), true)),
                Answer::Unreadable | Answer::None => Err(error),
            },
        }
    }

    /// What is offered is written as it is accepted.
    fn offered(&self, repository: &str, tag: &str) -> Option<Offered> {
        let name = format!("{repository}:{tag}");
        let image: Reference = format!("{}/{name}", self.name).parse().ok()?;
        Some(Offered { name, image: ImageRef::from_stored(image.whole()) })
    }
}

fn nothing(lacking: Lacking) -> Catalogue {
    Catalogue { images: Vec::new(), lacking: Some(lacking) }
}
