//! The only mapping from errors to HTTP.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use berth_core::Invalid;
use berth_core::access::Denied;
use berth_core::pod_io::Unreachable;
use berth_store::Error as StoreError;

use crate::request_id;

/// Declares the kinds of errors: status, stable code and title of each.
macro_rules! kinds {
    ($($kind:ident: $status:ident, $code:literal, $title:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($kind),*
        }

        impl Kind {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$kind),*];

            pub(crate) fn words(self) -> (StatusCode, &'static str, &'static str) {
                match self { $(Self::$kind => (StatusCode::$status, $code, $title)),* }
            }
        }
    };
}

kinds! {
    Malformed: BAD_REQUEST, "malformed", "The request cannot be read";
    Unauthenticated: UNAUTHORIZED, "unauthenticated", "Log in first";
    Forbidden: FORBIDDEN, "forbidden", "You may not do this";
    Suspended: FORBIDDEN, "suspended", "This account is suspended";
    NotFound: NOT_FOUND, "not_found", "There is no such thing";
    MethodNotAllowed: METHOD_NOT_ALLOWED, "method_not_allowed", "Not with this method";
    Conflict: CONFLICT, "conflict", "This contradicts what is there";
    TooLarge: PAYLOAD_TOO_LARGE, "too_large", "The request is too large";
    UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "JSON is expected";
    Invalid: UNPROCESSABLE_ENTITY, "invalid", "A value is not acceptable";
    QuotaExceeded: TOO_MANY_REQUESTS, "quota_exceeded", "Your quota is used up";
    TooManyRequests: TOO_MANY_REQUESTS, "too_many_requests", "Too many requests";
    Unavailable: SERVICE_UNAVAILABLE, "unavailable", "A part of the service is down";
    RegistryUnavailable: SERVICE_UNAVAILABLE, "registry_unavailable", "The image registry does not answer";
    Internal: INTERNAL_SERVER_ERROR, "internal", "Something went wrong here";
}

/// What a client is told.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    field: Option<String>,
    retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let retry_after = match kind {
            Kind::Unavailable | Kind::RegistryUnavailable => Some(5),
            Kind::QuotaExceeded | Kind::TooManyRequests => Some(60),
            Kind::Malformed
            | Kind::Unauthenticated
            | Kind::Forbidden
            | Kind::Suspended
            | Kind::NotFound
            | Kind::MethodNotAllowed
            | Kind::Conflict
            | Kind::TooLarge
            | Kind::UnsupportedMediaType
            | Kind::Invalid
            | Kind::Internal => None,
        };
        Self { kind, detail: detail.into(), field: None, retry_after }
    }

    pub(crate) fn field(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    pub(crate) fn title(&self) -> &'static str {
        self.kind.words().2
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            Kind::Unauthenticated,
            "send Authorization: Bearer with a session, an API token or a signed token that is valid now",
        )
    }

    pub(crate) fn not_found() -> Self {
        Self::new(Kind::NotFound, "there is nothing here that you may see")
    }

    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::new(Kind::Internal, "the server could not do this; the request id leads to its log")
    }
}

/// The stable URI of a kind of error.
pub(crate) fn type_of(code: &str) -> String {
    format!("https://berth.dev/problems/{code}")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.kind.words();
        let body = berth_wire::Problem {
            kind: type_of(code),
            title: title.to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            field: self.field,
            request_id: request_id::current(),
            error: self.detail.clone(),
            detail: self.detail,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.kind == Kind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"berth\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::new(Kind::Invalid, invalid.detail).field(invalid.field)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Self::new(Kind::Forbidden, denied.to_string())
    }
}

impl From<Unreachable> for Problem {
    fn from(unreachable: Unreachable) -> Self {
        let kind = match unreachable {
            Unreachable::NotRunning(_) | Unreachable::NoShell => Kind::Conflict,
            Unreachable::Cluster(_) | Unreachable::Database => Kind::Unavailable,
        };
        Self::new(kind, unreachable.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound => Self::not_found(),
            StoreError::Conflict { field } => Self::new(Kind::Conflict, error.to_string()).field(*field),
            StoreError::NameTaken => Self::new(Kind::Conflict, error.to_string()).field("name"),
            StoreError::UnknownKey(_) => Self::new(Kind::Invalid, error.to_string()).field("ssh_key_ids"),
            StoreError::KeyExists => Self::new(Kind::Conflict, error.to_string()).field("public_key"),
            StoreError::PortTaken => Self::new(Kind::Conflict, error.to_string()).field("port"),
            StoreError::AddressPortTaken { .. } => Self::new(Kind::Conflict, error.to_string()).field("port"),
            StoreError::NoAddress => Self::new(Kind::Invalid, error.to_string()).field("protocol"),
            StoreError::NoKeys => Self::new(Kind::Invalid, error.to_string()).field("ssh_enabled"),
            StoreError::IdempotencyMismatch => Self::new(Kind::Conflict, error.to_string()).field("Idempotency-Key"),
            StoreError::Quota(exceeded) => Self::new(Kind::QuotaExceeded, exceeded.to_string()),
            StoreError::Suspended => {
                Self::new(Kind::Suspended, "this account is suspended; only an administrator can change that")
            }
            StoreError::Unavailable(source) => {
                tracing::error!(error = source as &dyn std::error::Error, "the database failed");
                Self::new(Kind::Unavailable, "the database does not answer; try again in a moment")
            }
            StoreError::IdTaken | StoreError::Stale => {
                Self::new(Kind::Unavailable, "somebody else was faster; try again")
            }
            StoreError::Config(_) | StoreError::Migrate(_) | StoreError::Corrupt(_) => Self::internal(&error),
        }
    }
}
