//! The one error of parsing: which field, and what would be right.

/// A value that a caller sent and that cannot be accepted.
///
/// `field` is the JSON name of the input, `detail` one sentence that says what would be right. The offending value is
/// never repeated: it may be a megabyte long or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct Invalid {
    pub field: &'static str,
    pub detail: String,
}

impl Invalid {
    pub fn new(field: &'static str, detail: impl Into<String>) -> Self {
        Self { field, detail: detail.into() }
    }
}
