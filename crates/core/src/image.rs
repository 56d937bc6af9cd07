//! Which image a container runs, parsed by the reference grammar of the distribution specification.

use std::fmt;

use oci_spec::distribution::Reference;
use serde::{Deserialize, Serialize};

use crate::Invalid;

const FIELD: &str = "image";
/// The longest reference any registry accepts is far below this; it bounds the parser's work.
const MAX_LEN: usize = 512;

/// A full image reference (`registry/repository:tag` or `@digest`) that [`ImagePolicy`] let in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageRef(String);

impl ImageRef {
    /// For rows that were parsed when they were written.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A built-in image: offered by name, allowed whatever its registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltinImage {
    pub name: String,
    pub image: String,
}

/// Where images may come from: the built-ins and one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImagePolicy {
    /// The first is the default.
    pub builtins: Vec<BuiltinImage>,
    /// Host name of the internal registry, with a port where it has one.
    pub registry: String,
}

impl Default for ImagePolicy {
    /// The embedded node's registry and the image that `make up` pushes there.
    fn default() -> Self {
        let registry = "registry.berth.internal".to_owned();
        let base = BuiltinImage { name: "base".to_owned(), image: format!("{registry}/berth/base:latest") };
        Self { builtins: vec![base], registry }
    }
}

impl ImagePolicy {
    /// # Errors
    /// [`Invalid`] with a field below `api.images` when there is no built-in image, or a name cannot be parsed.
    pub fn check(&self) -> Result<(), Invalid> {
        let parsed = |text: &str| text.parse::<Reference>().ok();
        if self.builtins.is_empty() {
            return Err(Invalid::new("api.images.builtins", "at least one built-in image is needed"));
        }
        if let Some(wrong) = self.builtins.iter().find(|builtin| parsed(&builtin.image).is_none()) {
            let detail = format!("the image of {:?} is no reference, registry/repository:tag", wrong.name);
            return Err(Invalid::new("api.images.builtins", detail));
        }
        let named = parsed(&format!("{}/any:any", self.registry));
        if named.is_none_or(|named| named.registry() != self.registry) {
            return Err(Invalid::new("api.images.registry", "is a host name, with a port where it has one"));
        }
        Ok(())
    }

    /// Whether it is offered by configuration, and accepted whatever its registry.
    pub fn is_builtin(&self, image: &ImageRef) -> bool {
        self.builtins.iter().any(|builtin| builtin.image == image.0)
    }

    /// The image of a request that names none.
    pub fn default_image(&self) -> Option<ImageRef> {
        self.builtins.first().map(|builtin| ImageRef(builtin.image.clone()))
    }

    /// # Errors
    /// [`Invalid`] with field `image` when the text is no reference, or one of a foreign registry.
    pub fn admit(&self, text: &str) -> Result<ImageRef, Invalid> {
        if let Some(builtin) = self.builtins.iter().find(|builtin| builtin.image == text || builtin.name == text) {
            return Ok(ImageRef(builtin.image.clone()));
        }
        if text.len() > MAX_LEN {
            return Err(Invalid::new(FIELD, format!("an image reference is at most {MAX_LEN} bytes")));
        }
        let reference: Reference = text.parse().map_err(|_| {
            Invalid::new(FIELD, "an image is written registry/repository:tag or registry/repository@digest")
        })?;
        if reference.registry() == self.registry {
            Ok(ImageRef(reference.whole()))
        } else {
            Err(Invalid::new(FIELD, format!("an image is a built-in one or comes from {}", self.registry)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> ImagePolicy {
        ImagePolicy::default()
    }

    #[test]
    fn what_is_let_in() {
        for (text, whole) in [
            ("base", "registry.berth.internal/berth/base:latest"),
            ("registry.berth.internal/team/app:1.2", "registry.berth.internal/team/app:1.2"),
            ("registry.berth.internal/team/app", "registry.berth.internal/team/app:latest"),
        ] {
            assert_eq!(policy().admit(text).map(|image| image.to_string()), Ok(whole.to_owned()));
        }
    }

    #[test]
    fn a_policy_must_make_sense() {
        let with = |registry: &str| ImagePolicy { registry: registry.into(), ..policy() };
        for registry in ["registry.berth.internal", "10.41.0.2:5000", "localhost:5000", "ghcr.io"] {
            assert_eq!(with(registry).check(), Ok(()), "{registry}");
        }
        for registry in ["", "https://r.example", "r.example/team", "team", "r example"] {
            assert_eq!(with(registry).check().unwrap_err().field, "api.images.registry", "{registry}");
        }
        let builtins = vec![BuiltinImage { name: "base".into(), image: "No Reference".into() }];
        for builtins in [vec![], builtins] {
            let wrong = ImagePolicy { builtins, ..policy() }.check().unwrap_err();
            assert_eq!(wrong.field, "api.images.builtins");
        }
    }

    #[test]
    fn what_is_kept_out() {
        let long = format!("registry.berth.internal/{}", "a".repeat(1 << 20));
        for text in [
            "",
            " ",
            "debian",
            "docker.io/library/debian:12",
            "registry.berth.internal.evil.example/x",
            "evil.example/registry.berth.internal/x",
            "registry.berth.internal/../x",
            "registry.berth.internal/A",
            "registry.berth.internal/a\nb",
            "registry.berth.internal:80/x",
            "http://registry.berth.internal/x",
            &long,
        ] {
            assert_eq!(policy().admit(text).unwrap_err().field, "image", "{:?}", text.get(..40));
        }
    }
}
