//! What the gateway itself says, where nobody behind it can.

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use super::body::Body;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No such container, or no rule for this port: the same words for both.
    Unknown,
    Misdirected,
    Malformed(&'static str),
    HeadTooLarge,
    Stopped,
    /// No pod yet.
    Starting,
    /// The container's machine answers, and nothing listens on the port.
    Refused(u16),
    /// Not reached within the time.
    Unreached,
    /// Reached, and broken off before it answered.
    Broken,
    /// Reached, and silent.
    Silent,
    /// Berth's own API is not there.
    NoApi,
    /// To the name that is served by HTTPS alone, with the path and query.
    ToHttps(String),
}

impl Refusal {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Stopped | Self::Starting => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(_) | Self::Broken | Self::NoApi => StatusCode::BAD_GATEWAY,
            Self::Unreached | Self::Silent => StatusCode::GATEWAY_TIMEOUT,
            Self::ToHttps(_) => StatusCode::PERMANENT_REDIRECT,
        }
    }

    /// The leg that failed, in words for who opened the page.
    fn detail(&self) -> String {
        match self {
            Self::Unknown => "There is no container of this name that serves this port.".to_owned(),
            Self::Misdirected => "This connection was opened for another host name.".to_owned(),
            Self::Malformed(why) => format!("The request is not plain HTTP: {why}."),
            Self::HeadTooLarge => "The request's head is too large.".to_owned(),
            Self::Stopped => "This container is stopped. Its owner can start it again.".to_owned(),
            Self::Starting => "This container is starting. Try again in a moment.".to_owned(),
            Self::Refused(port) => format!(
                "The gateway reached the container, but nothing listens on its port {port}: is its server running, \
                 and on all addresses rather than 127.0.0.1 alone?"
            ),
            Self::Unreached => "The gateway could not reach the container in time.".to_owned(),
            Self::Broken => "The container's server closed the connection before it answered.".to_owned(),
            Self::Silent => "The container's server took the request and did not answer in time.".to_owned(),
            Self::NoApi => "The gateway works, but Berth's own API does not answer.".to_owned(),
            Self::ToHttps(_) => "This name is served by HTTPS alone.".to_owned(),
        }
    }

    /// `asked` are the headers of the request, where there are any to believe.
    pub(crate) fn response(&self, asked: &HeaderMap) -> Response<Body> {
        let (status, detail) = (self.status(), self.detail());
        let title = status.canonical_reason().unwrap_or_default();
        let (kind, text) = match wanted(asked) {
            Wanted::Page => ("text/html; charset=utf-8", page(status, title, &detail)),
            Wanted::Problem => {
                let problem = serde_json::json!({
                    "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail,
                });
                ("application/problem+json", problem.to_string())
            }
            Wanted::Text => ("text/plain; charset=utf-8", format!("{} {title}: {detail}\n", status.as_u16())),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Starting => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("2"))),
            Self::Malformed(_) | Self::HeadTooLarge => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Self::ToHttps(location) => {
                if let Ok(location) = HeaderValue::try_from(location) {
                    headers.insert(LOCATION, location);
                }
            }
            Self::Unknown | Self::Misdirected | Self::Stopped | Self::Refused(_) => {}
            Self::Unreached | Self::Broken | Self::Silent | Self::NoApi => {}
        }
        response
    }
}

enum Wanted {
    Page,
    Problem,
    Text,
}

fn wanted(asked: &HeaderMap) -> Wanted {
    let accepted =
        |what| asked.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|text| text.contains(what)));
    if accepted("text/html") {
        Wanted::Page
    } else if accepted("json") {
        Wanted::Problem
    } else {
        Wanted::Text
    }
}

/// Nothing in it comes from a request.
fn page(status: StatusCode, title: &str, detail: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{code} {title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}\
         @media(prefers-color-scheme:dark){{body{{background:#111;color:#ddd}}}}</style>\
         <h1>{title}</h1><p>{detail}</p><p><small>{code} · Berth</small></p></html>\n",
        code = status.as_u16(),
    )
}
