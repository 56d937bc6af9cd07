//! The headers of a request on its way to a container, and of the answer on its way back.

use std::net::IpAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderValue};

use super::connection::Door;

/// They concern one connection, beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];
const X_FORWARDED: &str = "x-forwarded-";
const X_REAL_IP: &str = "x-real-ip";
/// Session and login cookies of the API begin so.
const OWN_COOKIES: &str = "__host-berth";
/// Sessions and API tokens of Berth's own (`berth_api::credential`).
const OWN_SECRETS: [&str; 2] = ["berth_s_", "berth_t_"];

/// Makes of a client's headers those that the next server is sent. `host` is whom the request speaks to.
pub(crate) fn outgoing(headers: &mut HeaderMap, door: &Door, host: &str, to_api: bool) {
    let trailers = headers.get(TE).is_some_and(|value| {
        value.to_str().is_ok_and(|text| text.split(',').any(|word| word.trim().eq_ignore_ascii_case("trailers")))
    });
    strip_hop_by_hop(headers);
    headers.remove(PROXY_AUTHORIZATION);
    // The gateway asks for the body itself, as soon as the container takes it.
    headers.remove(EXPECT);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if !to_api {
        strip_own_secrets(headers);
    }
    forwarded(headers, door, host);
    if let Ok(host) = HeaderValue::try_from(host) {
        headers.insert(HOST, host);
    }
}

pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        named.flat_map(|text| text.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The protocol that a client asks to go on with. `h2c` is none: what came after it would pass by all checks here.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = headers.get_all(CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|text| text.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade")))
    });
    let mut values = headers.get_all(UPGRADE).iter();
    let (Some(one), None, true) = (values.next(), values.next(), asks) else { return None };
    let text = one.to_str().ok()?;
    let plain = !text.is_empty() && !text.contains(',') && !text.trim().eq_ignore_ascii_case("h2c");
    plain.then(|| one.clone())
}

/// What a client says of other proxies is removed, in spellings that some servers take for the same, too.
fn forwarded(headers: &mut HeaderMap, door: &Door, host: &str) {
    let alike = |name: &[u8], other: &str| {
        let dashed = name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte });
        dashed.eq(other.bytes())
    };
    let claims = |name: &HeaderName| {
        let name = name.as_str().as_bytes();
        let forwarded = name.get(..X_FORWARDED.len()).is_some_and(|start| alike(start, X_FORWARDED));
        forwarded || alike(name, X_REAL_IP) || alike(name, FORWARDED.as_str())
    };
    let claimed: Vec<HeaderName> = headers.keys().filter(|name| claims(name)).cloned().collect();
    for name in claimed {
        headers.remove(name);
    }
    let (ip, proto) = (door.peer.ip().to_canonical(), if door.tls { "https" } else { "http" });
    let node = match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    };
    let said = [
        ("x-forwarded-for", ip.to_string()),
        ("x-forwarded-proto", proto.to_owned()),
        ("x-forwarded-host", host.to_owned()),
        ("x-forwarded-port", door.port.to_string()),
        ("forwarded", format!("for={node};host=\"{host}\";proto={proto}")),
    ];
    for (name, value) in said {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

/// A tenant's server gets the Authorization that is meant for it: only what is recognisably Berth's own is kept from it. The
/// tokens of other issuers that Berth accepts (HS256, OIDC) look like anybody's and pass; who sends one chose the host.
fn strip_own_secrets(headers: &mut HeaderMap) {
    let ours = |value: &HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes());
        OWN_SECRETS.iter().any(|prefix| text.split_whitespace().any(|word| word.starts_with(prefix)))
    };
    if headers.get_all(AUTHORIZATION).iter().any(ours) {
        headers.remove(AUTHORIZATION);
    }
    let cookies: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for value in cookies {
        if let Some(value) = foreign_cookies(&value) {
            headers.append(COOKIE, value);
        }
    }
}

fn foreign_cookies(value: &HeaderValue) -> Option<HeaderValue> {
    let ours = |pair: &&[u8]| {
        let pair = pair.trim_ascii_start();
        pair.get(..OWN_COOKIES.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_COOKIES.as_bytes()))
    };
    let pairs = || value.as_bytes().split(|byte| *byte == b';');
    if !pairs().any(|pair| ours(&pair)) {
        return Some(value.clone());
    }
    let kept: Vec<&[u8]> = pairs().filter(|pair| !ours(pair)).map(<[u8]>::trim_ascii).collect();
    HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        Door { port: 443, peer: ([203, 0, 113, 9], 1234).into(), tls: true, sni: None }
    }

    fn sent(pairs: &[(&'static str, &str)], to_api: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        outgoing(&mut headers, &door(), "a.example", to_api);
        headers
    }

    #[test]
    fn what_a_client_says_of_proxies_is_not_believed() {
        let headers = sent(
            &[
                ("x-forwarded-for", "10.0.0.1"),
                ("x_forwarded_for", "10.0.0.1"),
                ("x-forwarded-server", "x"),
                ("x-real-ip", "10.0.0.1"),
                ("forwarded", "for=10.0.0.1"),
            ],
            false,
        );
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "a.example");
        assert_eq!(headers["x-forwarded-port"], "443");
        assert_eq!(headers["forwarded"], "for=203.0.113.9;host=\"a.example\";proto=https");
        assert_eq!(headers.len(), 6, "{headers:?}");
    }

    #[test]
    fn what_concerns_one_connection_stays_on_it() {
        let pairs = [
            ("connection", "close, X-Private, host, x-forwarded-for"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers, deflate"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic eDp5"),
            ("expect", "100-continue"),
            ("x-kept", "1"),
        ];
        let headers = sent(&pairs, false);
        for gone in ["connection", "x-private", "keep-alive", "upgrade", "proxy-authorization", "expect"] {
            assert!(!headers.contains_key(gone), "{gone}");
        }
        assert_eq!((&headers["te"], &headers["x-kept"]), (&"trailers".parse().unwrap(), &"1".parse().unwrap()));
        assert_eq!((&headers["host"], headers["x-forwarded-for"].len()), (&"a.example".parse().unwrap(), 11));
    }

    #[test]
    fn tenants_see_none_of_berths_own_secrets() {
        let table = [
            ("cookie", "__Host-berth=x", None),
            ("cookie", "a=1; __Host-berth=x; b=2", Some("a=1; b=2")),
            ("cookie", "__HOST-berth-oidc=x;c=3", Some("c=3")),
            ("cookie", "a=__Host-berth", Some("a=__Host-berth")),
            ("authorization", "Bearer berth_s_00", None),
            ("authorization", "bearer  berth_t_00", None),
            ("authorization", "Bearer theirs", Some("Bearer theirs")),
            ("authorization", "Basic YTpi", Some("Basic YTpi")),
        ];
        for (name, value, expected) in table {
            let found = sent(&[(name, value)], false).get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(found.as_deref(), expected, "{value}");
            assert_eq!(sent(&[(name, value)], true)[name], value, "the API gets it");
        }
    }

    #[test]
    fn an_upgrade_is_asked_for_in_so_many_words() {
        let asked = |pairs: &[(&'static str, &str)]| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
                .collect();
            upgrade(&headers).is_some()
        };
        assert!(asked(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]));
        assert!(!asked(&[("connection", "keep-alive"), ("upgrade", "websocket")]));
        assert!(!asked(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")]));
        assert!(!asked(&[("connection", "Upgrade"), ("upgrade", "websocket, h2c")]));
    }
}
