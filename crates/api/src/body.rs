//! Reads JSON bodies and says exactly what is wrong with them.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::{Kind, Problem};

/// The largest body that is read.
pub(crate) const LIMIT: usize = 64 * 1024;

/// A JSON body of shape `T`, and its bytes for comparing repeated requests.
#[derive(Debug)]
pub(crate) struct Body<T> {
    pub(crate) value: T,
    pub(crate) bytes: Bytes,
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
        if !media_type.is_some_and(|value| value.eq_ignore_ascii_case("application/json")) {
            return Err(Problem::new(Kind::UnsupportedMediaType, "send Content-Type: application/json"));
        }
        let too_large = |_| Problem::new(Kind::TooLarge, format!("a body is at most {LIMIT} bytes"));
        let bytes = Bytes::from_request(request, state).await.map_err(too_large)?;
        let value = parse(&bytes)?;
        Ok(Self { value, bytes })
    }
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        explain(error.inner(), &path)
    })?;
    reader.end().map_err(|error| explain(&error, "."))?;
    Ok(value)
}

fn explain(error: &serde_json::Error, path: &str) -> Problem {
    if error.classify() != Category::Data {
        return Problem::new(
            Kind::Malformed,
            format!("the body is not JSON: line {}, column {}", error.line(), error.column()),
        );
    }
    let text = error.to_string();
    let quoted = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.split('`').next()).map(str::to_owned);
    if let Some(field) = quoted("unknown field `") {
        return Problem::new(Kind::Invalid, "there is no such field").field(field);
    }
    if let Some(field) = quoted("missing field `") {
        return Problem::new(Kind::Invalid, "this field is needed").field(field);
    }
    let field: String = path.chars().take_while(|c| *c != '[').collect();
    let field = if field == "." || field == "?" { "body".to_owned() } else { field };
    // The message names what was sent; only its second half, what was expected, is fit to be shown.
    let expected = text.split(", expected ").nth(1).and_then(|rest| rest.split(" at line").next());
    Problem::new(Kind::Invalid, format!("expected {}", expected.unwrap_or("another value"))).field(field)
}
