//! What a registry says of images, and with which credentials it is asked.

use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::Reference;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::Invalid;
use crate::image::ImageRef;
use crate::instance::InstanceType;

/// Of Berth at a private registry: berthd asks with them, and nodes pull with them.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub username: String,
    pub password: SecretString,
}

/// `sha256:…`: names exactly one image, or one index of images for several architectures.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageDigest(String);

impl ImageDigest {
    /// For rows that were parsed when they were written.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The digest of a reference that has one, such as what a runtime calls an image that it pulled.
    pub fn of_reference(text: &str) -> Option<Self> {
        text.parse::<Reference>().ok()?.digest().map(|digest| Self(digest.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageDigest {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // The grammar of references knows what a digest is; the repository's name is of no matter.
        let wrong = || Invalid::new("image_digest", "a digest is written sha256: and 64 hexadecimal digits");
        Self::of_reference(&format!("any.example/any@{text}")).filter(|digest| digest.0 == text).ok_or_else(wrong)
    }
}

/// What a reference stands for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub digest: ImageDigest,
    /// Of Linux, as OCI names them; an index has several.
    pub architectures: Vec<String>,
}

impl Resolved {
    /// # Errors
    /// [`Invalid`] with field `image` when a node of the instance type cannot run it.
    pub fn admit(&self, image: &ImageRef, kind: &InstanceType) -> Result<(), Invalid> {
        let wanted = kind.arch.as_str();
        if self.architectures.iter().any(|arch| arch == wanted) {
            return Ok(());
        }
        let has = if self.architectures.is_empty() { "no Linux".to_owned() } else { self.architectures.join(", ") };
        let detail = format!("{image} is made for {has}, and the instance type {} is {wanted}", kind.name);
        Err(Invalid::new("image", detail))
    }
}

/// Why a reference could not be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unresolved {
    /// The registry has no such repository, tag or digest.
    Absent,
    /// It is there, but no image that a container can run: a chart, say.
    NotAnImage,
    /// The registry does not show it with the credentials that there are.
    Forbidden,
    /// It lies in a registry that is not asked.
    Elsewhere,
    /// The registry does not answer.
    NoAnswer,
}

/// An image that the registry offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// `repository:tag`
    pub name: String,
    pub image: ImageRef,
}

/// Everything that the registry offers, in its own order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    pub images: Vec<Offered>,
    /// Set when that is not all.
    pub lacking: Option<Lacking>,
}

/// Why a catalogue is not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// The registry did not answer, or not in time.
    NoAnswer,
    /// It does not list its images with the credentials that there are.
    Forbidden,
    /// It has more than are listed, or than it could list in time.
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Arch;

    const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

    #[test]
    fn what_is_a_digest() {
        assert_eq!(DIGEST.parse::<ImageDigest>().unwrap().as_str(), DIGEST);
        for text in ["", "sha256:", "sha256:abc", &DIGEST[7..], &format!("{DIGEST}0"), &format!("latest@{DIGEST}")] {
            assert!(text.parse::<ImageDigest>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_a_runtime_calls_an_image() {
        let of = |text: &str| ImageDigest::of_reference(text).map(|digest| digest.to_string());
        assert_eq!(of(&format!("registry.berth.internal/team/app@{DIGEST}")).as_deref(), Some(DIGEST));
        assert_eq!(of(&format!("10.0.0.1:5000/a@{DIGEST}")).as_deref(), Some(DIGEST));
        // The digest of a configuration, where the image was not pulled; nothing, before it was.
        assert_eq!(of(DIGEST), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn an_image_runs_on_its_own_architectures() {
        let kind = InstanceType { name: "nano".into(), millicores: 500, arch: Arch::Arm64 };
        let image = ImageRef::from_stored("r.example/a:1".into());
        let resolved = |architectures: &[&str]| Resolved {
            digest: DIGEST.parse().unwrap(),
            architectures: architectures.iter().map(|arch| (*arch).to_owned()).collect(),
        };
        assert_eq!(resolved(&["amd64", "arm64"]).admit(&image, &kind), Ok(()));
        let wrong = resolved(&["amd64", "riscv64"]).admit(&image, &kind).unwrap_err();
        assert_eq!(wrong.field, "image");
        assert_eq!(wrong.detail, "r.example/a:1 is made for amd64, riscv64, and the instance type nano is arm64");
        assert!(resolved(&[]).admit(&image, &kind).unwrap_err().detail.contains("no Linux"));
    }
}
