//! What a reference stands for: its digest, and the architectures it is made for.

use std::sync::PoisonError;
use std::time::Duration;

use berth_core::image::ImageRef;
use berth_core::registry::{Resolved, Unresolved};
use futures::TryStreamExt;
use oci_client::Reference;
use oci_client::errors::{OciDistributionError as Error, OciErrorCode as Code};
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE, OciDescriptor, OciManifest};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use crate::{Kept, Registry};

/// Somebody waits for the answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Long enough for many creates at once, short enough that a tag pushed just now is seen.
const FRESH: Duration = Duration::from_secs(2);
/// References remembered at once.
const MOST_KEPT: usize = 1024;
/// Bytes of a configuration; registries hold manifests to this too.
const MOST_CONFIG: usize = 4 << 20;

/// The part of an image's configuration that is read.
#[derive(Debug, Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

impl Registry {
    /// What the reference stands for now, or stood for two seconds ago.
    ///
    /// # Errors
    /// [`Unresolved`] says why it is not known.
    pub async fn resolve(&self, image: &ImageRef, now: Instant) -> Result<Resolved, Unresolved> {
        if let Some(resolved) = self.remembered(image, now) {
            return Ok(resolved);
        }
        let named: Reference = image.as_str().parse().map_err(|_| Unresolved::Elsewhere)?;
        if named.registry() != self.name {
            return Err(Unresolved::Elsewhere);
        }
        let resolved = match timeout(PATIENCE, self.ask(&named)).await {
            Ok(asked) => asked.map_err(|error| self.unresolved(image, &error)),
            Err(_elapsed) => {
                tracing::warn!(registry = self.name, %image, "it takes too long to resolve");
                Err(Unresolved::NoAnswer)
            }
        }?;
        self.remember(image, &resolved, now);
        Ok(resolved)
    }

    async fn ask(&self, named: &Reference) -> Result<Resolved, Error> {
        let (authority, repository) = (self.authority.clone(), named.repository().to_owned());
        let image = match (named.digest(), named.tag()) {
            (Some(digest), _) => Reference::with_digest(authority, repository, digest.to_owned()),
            (None, tag) => Reference::with_tag(authority, repository, tag.unwrap_or("latest").to_owned()),
        };
        let (manifest, digest) = self.client.pull_manifest(&image, &self.auth()).await?;
        let architectures = match manifest {
            OciManifest::Image(manifest) => self.architecture(&image, &manifest.config).await?,
            OciManifest::ImageIndex(index) => {
                let platforms = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
                let linux = platforms.filter(|platform| platform.os.to_string() == "linux");
                linux.map(|platform| platform.architecture.to_string()).collect()
            }
        };
        let digest = digest.parse().map_err(|_| unreadable("its digest is none"))?;
        Ok(Resolved { digest, architectures })
    }

    async fn architecture(&self, image: &Reference, config: &OciDescriptor) -> Result<Vec<String>, Error> {
        if ![IMAGE_CONFIG_MEDIA_TYPE, IMAGE_DOCKER_CONFIG_MEDIA_TYPE].contains(&config.media_type.as_str()) {
            return Err(unreadable("its configuration is no image's"));
        }
        // By its digest alone: a descriptor can name other places to fetch it from, and those are the tenant's choice.
        let mut blob = self.client.pull_blob_stream(image, config.digest.as_str()).await?.stream;
        let mut bytes = Vec::new();
        while let Some(chunk) = blob.try_next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_CONFIG {
                return Err(unreadable("its configuration is too large"));
            }
        }
        let Platform { architecture, os } =
            serde_json::from_slice(&bytes).map_err(|_| unreadable("its configuration cannot be read"))?;
        Ok(if os == "linux" { vec![architecture] } else { Vec::new() })
    }

    fn unresolved(&self, image: &ImageRef, error: &Error) -> Unresolved {
        match answer(error) {
            Answer::Absent => Unresolved::Absent,
            Answer::Forbidden => Unresolved::Forbidden,
            Answer::Unreadable => Unresolved::NotAnImage,
            Answer::None => {
                tracing::warn!(registry = self.name, %image, error = error as &dyn std::error::Error, "it cannot be asked");
                Unresolved::NoAnswer
            }
        }
    }

    fn remembered(&self, image: &ImageRef, now: Instant) -> Option<Resolved> {
        let kept = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(image).filter(|kept| kept.until > now).map(|kept| kept.value.clone())
    }

    fn remember(&self, image: &ImageRef, resolved: &Resolved, now: Instant) {
        let mut kept = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.until > now);
        if kept.len() < MOST_KEPT {
            kept.insert(image.clone(), Kept { until: now + FRESH, value: resolved.clone() });
        }
    }
}

fn unreadable(why: &str) -> Error {
    Error::SpecViolationError(why.to_owned())
}

/// What an error says of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Absent,
    Forbidden,
    /// It is there, and nothing that we know.
    Unreadable,
    /// The registry itself is in trouble, or out of reach.
    None,
}

pub(crate) fn answer(error: &Error) -> Answer {
    match error {
        Error::ImageManifestNotFoundError(_) => Answer::Absent,
        Error::RegistryError { envelope, .. } => envelope.errors.first().map_or(Answer::None, |first| of(&first.code)),
        Error::ServerError { code, .. } => match code {
            404 => Answer::Absent,
            403 => Answer::Forbidden,
            _trouble => Answer::None,
        },
        Error::UnauthorizedError { .. } | Error::AuthenticationFailure(_) => Answer::Forbidden,
        Error::ConfigConversionError(_)
        | Error::DigestError(_)
        | Error::ManifestEncodingError(_)
        | Error::ManifestParsingError(_)
        | Error::SpecViolationError(_)
        | Error::UnsupportedMediaTypeError(_)
        | Error::UnsupportedSchemaVersionError(_)
        | Error::VersionedParsingError(_)
        | Error::IncompatibleLayerMediaTypeError(_)
        | Error::ImageIndexParsingNoPlatformResolverError
        | Error::PullNoLayersError => Answer::Unreadable,
        Error::GenericError(_)
        | Error::HeaderValueError(_)
        | Error::IoError(_)
        | Error::JsonError(_)
        | Error::PushNoDataError
        | Error::PushLayerNoDataError
        | Error::RegistryNoDigestError
        | Error::RegistryNoLocationError
        | Error::RegistryTokenDecodeError(_)
        | Error::RequestError(_)
        | Error::UrlParseError(_) => Answer::None,
    }
}

fn of(code: &Code) -> Answer {
    match code {
        Code::ManifestUnknown | Code::NameUnknown | Code::NotFound | Code::NameInvalid | Code::TagInvalid => {
            Answer::Absent
        }
        Code::Unauthorized | Code::Denied => Answer::Forbidden,
        Code::BlobUnknown | Code::ManifestBlobUnknown | Code::ManifestInvalid | Code::ManifestUnverified => {
            Answer::Unreadable
        }
        Code::BlobUploadInvalid
        | Code::BlobUploadUnknown
        | Code::DigestInvalid
        | Code::SizeInvalid
        | Code::Unsupported
        | Code::Toomanyrequests
        | Code::Other(_) => Answer::None,
    }
}
