//! Persistent mount paths: which of the container's folders live on its disk.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Invalid;

/// 1–16 absolute, normalised paths, none inside another, none over the system's own folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MountPaths(Vec<String>);

const FIELD: &str = "mount_paths";
const MAX_PATHS: usize = 16;
const MAX_LEN: usize = 255;
/// Mounting over these breaks the image or reaches the kernel.
const RESERVED: [&str; 9] = ["/proc", "/sys", "/dev", "/etc", "/bin", "/sbin", "/usr", "/boot", "/run/berth"];

impl Default for MountPaths {
    fn default() -> Self {
        Self(vec!["/root".to_owned()])
    }
}

impl MountPaths {
    /// # Errors
    /// [`Invalid`] with field `mount_paths`, saying which rule a path breaks.
    pub fn parse<S: AsRef<str>>(paths: &[S]) -> Result<Self, Invalid> {
        if paths.is_empty() || paths.len() > MAX_PATHS {
            return Err(Invalid::new(FIELD, format!("mount_paths holds 1 to {MAX_PATHS} paths")));
        }
        let parsed: Vec<String> = paths.iter().map(|path| parse_one(path.as_ref())).collect::<Result<_, _>>()?;
        for (at, path) in parsed.iter().enumerate() {
            if parsed[..at].iter().any(|other| within(path, other) || within(other, path)) {
                return Err(Invalid::new(FIELD, "mount_paths must differ and none may lie inside another"));
            }
        }
        Ok(Self(parsed))
    }

    /// For rows that were parsed when they were written.
    pub fn from_stored(paths: Vec<String>) -> Self {
        Self(paths)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether both hold the same paths; none lies in another, so their order means nothing.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|path| other.0.contains(path))
    }

    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// The folder of the disk that holds `path`: a readable stem and 12 hex digits of its SHA-256, so that `/a/b` and `/a-b`
/// never share one. It depends on the path alone: removing a path and adding it again finds its data.
pub fn sub_path(path: &str) -> String {
    let digest = Sha256::digest(path.as_bytes());
    let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let stem: String = path.chars().filter(char::is_ascii_alphanumeric).take(24).collect();
    format!("{stem}-{hash}")
}

fn within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn parse_one(path: &str) -> Result<String, Invalid> {
    let wrong = |detail: &str| Err(Invalid::new(FIELD, detail));
    if path.len() > MAX_LEN || path.chars().any(|c| c.is_control() || c == ':') {
        return wrong("a mount path is at most 255 bytes without control characters or ':'");
    }
    let Some(rest) = path.strip_prefix('/') else {
        return wrong("a mount path starts with '/'");
    };
    if rest.is_empty() {
        return wrong("the root folder cannot be a mount path");
    }
    if rest.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return wrong("a mount path is normalised: no '//', no '.', no '..', no '/' at its end");
    }
    let top = rest.split('/').next().unwrap_or_default();
    if top.starts_with("lib") || RESERVED.iter().any(|reserved| within(path, reserved)) || path == "/run" {
        return wrong(
            "a mount path may not lie in /proc, /sys, /dev, /etc, /bin, /sbin, /usr, /boot, /lib* or be /run",
        );
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_paths() {
        for paths in
            [&["/root"][..], &["/root", "/var/data"], &["/a/b", "/a-b"], &["/home/ann", "/home/anna"], &["/srv"]]
        {
            assert!(MountPaths::parse(paths).is_ok(), "{paths:?}");
        }
    }

    #[test]
    fn bad_paths() {
        let long = format!("/{}", "x".repeat(255));
        let none: [&str; 0] = [];
        assert!(MountPaths::parse(&none).is_err());
        for path in [
            "",
            "root",
            "/",
            "/a/../b",
            "/a//b",
            "/a/",
            "/proc/1",
            "/sys",
            "/dev/shm",
            "/etc/x",
            "/bin",
            "/usr/local",
            "/lib",
            "/lib64/x",
            "/lib32",
            "/libx32/y",
            "/sbin/x",
            "/boot",
            "/run",
            "/run/berth",
            "/run/berth/x",
            "/etc/",
            "/./etc",
            "/a/.",
            "/..",
            "//",
            "//etc",
            "/a\u{0}b",
            "/a\nb",
            "/a:b",
            &long,
        ] {
            assert_eq!(MountPaths::parse(&[path]).unwrap_err().field, "mount_paths", "{path:?}");
        }
        assert!(MountPaths::parse(&["/a", "/a"]).is_err());
        assert!(MountPaths::parse(&["/a/b", "/a"]).is_err());
    }

    #[test]
    fn folders_of_different_paths_differ() {
        assert_ne!(sub_path("/a/b"), sub_path("/a-b"));
        assert_ne!(sub_path("/ä"), sub_path("/ö"));
        assert_eq!(sub_path("/root"), "root-94a6b4475803");
    }

    #[test]
    fn order_means_nothing() {
        let parse = |paths: &[&str]| MountPaths::parse(paths).unwrap();
        assert!(parse(&["/a", "/b"]).same_as(&parse(&["/b", "/a"])));
        assert!(!parse(&["/a", "/b"]).same_as(&parse(&["/a"])));
        assert!(!parse(&["/a", "/b"]).same_as(&parse(&["/a", "/c"])));
    }

    /// Pieces that make paths near the borders of every rule.
    fn path() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/".to_owned()),
            Just("//".to_owned()),
            Just("/..".to_owned()),
            Just("/.".to_owned()),
            "/(proc|sys|dev|etc|s?bin|usr|boot|run|run/berth|lib[a-z0-9]{0,3}|root|var|data|a|b)",
            "[a-c./:\\\\ ]{0,3}",
            "\\PC{0,3}",
        ];
        vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_let_in_keeps_every_rule(paths in vec(path(), 0..6)) {
            let Ok(parsed) = MountPaths::parse(&paths) else { return Ok(()) };
            prop_assert_eq!(parsed.as_slice(), &paths[..]);
            for path in parsed.iter() {
                let parts: Vec<&str> = path.split('/').collect();
                prop_assert!(parts.len() > 1 && parts[0].is_empty(), "{path} is absolute and not the root");
                prop_assert!(parts[1..].iter().all(|part| !["", ".", ".."].contains(part)), "{path} is normalised");
                prop_assert!(!["proc", "sys", "dev", "etc", "bin", "sbin", "usr", "boot"].contains(&parts[1]), "{path}");
                prop_assert!(!parts[1].starts_with("lib") && path != "/run" && !path.starts_with("/run/berth/"), "{path}");
                prop_assert!(!path.chars().any(|c| c.is_control() || c == ':'), "{path}");
                prop_assert!(sub_path(path).bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{path}");
                let inside = parsed.iter().filter(|other| format!("{other}/").starts_with(&format!("{path}/")));
                prop_assert_eq!(inside.count(), 1, "none over another");
                prop_assert_eq!(parsed.iter().filter(|other| sub_path(other) == sub_path(path)).count(), 1);
            }
        }

        #[test]
        fn any_text_is_answered(paths in vec(".{0,300}", 0..20)) {
            if let Err(invalid) = MountPaths::parse(&paths) {
                prop_assert_eq!(invalid.field, "mount_paths");
            }
        }
    }
}
