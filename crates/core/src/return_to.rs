//! Where a browser goes after a login: a path of our own, and nowhere else.

use std::fmt;

use crate::Invalid;

/// A path on the same host, with its query. What a browser could read as another host is none: `//host`, `/\host`, and
/// control characters, which browsers drop before they look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    pub const MAX: usize = 1000;

    /// # Errors
    /// [`Invalid`] with field `return_to`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let own = text.starts_with('/') && !text.starts_with("//");
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        if own && plain && text.len() <= Self::MAX {
            Ok(Self(text.to_owned()))
        } else {
            let detail =
                "a path of this host, such as /containers: it starts with one slash and has no backslash or space";
            Err(Invalid::new("return_to", detail))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ReturnTo {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_host() {
        for good in ["/", "/containers/7f3c9a52?tab=logs#end", "/a//b", "/@evil.example", "/?next=https://evil.example"]
        {
            assert_eq!(ReturnTo::parse(good).unwrap().as_str(), good);
        }
        let long = format!("/{}", "x".repeat(ReturnTo::MAX));
        for bad in [
            "",
            "containers",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            "/a b",
            "/\r\nSet-Cookie: a=b",
            "/ä",
            " /",
            &long,
        ] {
            assert!(ReturnTo::parse(bad).is_err(), "{bad:?}");
        }
    }
}
