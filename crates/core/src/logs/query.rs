//! `?tail=100&since=10m&previous=true&follow=true`.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use crate::Invalid;

/// The most lines that `tail` may ask for.
pub const MAX_TAIL: u32 = 10_000;
const DEFAULT_TAIL: u32 = 100;

/// Which part of a log is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// At most this many of the lines that are there already; `None`: all.
    pub tail: Option<u32>,
    /// Only lines written then or later.
    pub since: Option<DateTime<Utc>>,
    /// The log of the process before the last restart.
    pub previous: bool,
    /// Go on with what is written next.
    pub follow: bool,
}

impl LogQuery {
    /// Reads the pairs of a query string; other keys are not looked at, the last of a repeated key counts, and an empty
    /// value is none. Without `tail` it is 100 lines, or all of them when `since` says where to begin.
    ///
    /// # Errors
    /// [`Invalid`] with the key's name.
    pub fn parse<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
        now: DateTime<Utc>,
    ) -> Result<Self, Invalid> {
        let (mut tail, mut since, mut previous, mut follow) = (None, None, false, false);
        for (key, value) in pairs {
            let value = value.as_ref();
            match key.as_ref() {
                _ if value.is_empty() => {}
                "tail" => tail = Some(parse_tail(value)?),
                "since" => since = Some(parse_since(value, now)?),
                "previous" => previous = parse_flag("previous", value)?,
                "follow" => follow = parse_flag("follow", value)?,
                _other => {}
            }
        }
        let tail = tail.or_else(|| since.is_none().then_some(DEFAULT_TAIL));
        Ok(Self { tail, since, previous, follow })
    }
}

fn parse_tail(text: &str) -> Result<u32, Invalid> {
    let wrong = || Invalid::new("tail", format!("tail is a number of lines from 0 to {MAX_TAIL}"));
    text.parse().ok().filter(|lines| *lines <= MAX_TAIL).ok_or_else(wrong)
}

fn parse_flag(field: &'static str, text: &str) -> Result<bool, Invalid> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _other => Err(Invalid::new(field, format!("{field} is true or false"))),
    }
}

fn parse_since(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Invalid> {
    // A plus that was not escaped in a query is a space.
    let rfc3339 = || DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok().map(|at| at.to_utc());
    let unix = || text.parse().ok().filter(|seconds| *seconds >= 0).and_then(|s: i64| Utc.timestamp_opt(s, 0).single());
    let ago = || now.checked_sub_signed(duration(text)?);
    rfc3339().or_else(unix).or_else(ago).ok_or_else(|| {
        Invalid::new(
            "since",
            "since is a time (2026-01-15T10:30:00Z), unix seconds, or an age like 90s, 10m, 1h30m, 2d",
        )
    })
}

/// `1h30m`: numbers, each with its unit of d, h, m or s.
fn duration(mut text: &str) -> Option<TimeDelta> {
    let mut total = TimeDelta::zero();
    while !text.is_empty() {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = text.split_at(digits);
        let number: i64 = number.parse().ok()?;
        let unit = rest.chars().next()?;
        let part = match unit {
            'd' => TimeDelta::try_days(number),
            'h' => TimeDelta::try_hours(number),
            'm' => TimeDelta::try_minutes(number),
            's' => TimeDelta::try_seconds(number),
            _other => None,
        }?;
        total = total.checked_add(&part)?;
        text = &rest[unit.len_utf8()..];
    }
    (total > TimeDelta::zero()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-01-15T10:30:00Z".parse().unwrap()
    }

    fn parse(pairs: &[(&str, &str)]) -> Result<LogQuery, Invalid> {
        LogQuery::parse(pairs.iter().copied(), now())
    }

    #[test]
    fn what_is_not_said_is_the_last_hundred_lines() {
        let nothing = LogQuery { tail: Some(100), since: None, previous: false, follow: false };
        assert_eq!(parse(&[]), Ok(nothing));
        assert_eq!(parse(&[("tail", ""), ("since", ""), ("token", "x")]), Ok(nothing));
        assert_eq!(parse(&[("since", "1m")]).unwrap().tail, None);
        assert_eq!(parse(&[("since", "1m"), ("tail", "0")]).unwrap().tail, Some(0));
        assert_eq!(parse(&[("tail", "1"), ("tail", "10000")]).unwrap().tail, Some(10_000));
        let both = parse(&[("previous", "true"), ("follow", "1")]).unwrap();
        assert!(both.previous && both.follow);
    }

    #[test]
    fn the_ways_to_say_since() {
        for (text, at) in [
            ("2026-01-15T10:00:00Z", "2026-01-15T10:00:00Z"),
            ("2026-01-15T12:00:00.25 02:00", "2026-01-15T10:00:00.250Z"),
            ("1768473000", "2026-01-15T10:30:00Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("90s", "2026-01-15T10:28:30Z"),
            ("1h30m", "2026-01-15T09:00:00Z"),
            ("2d", "2026-01-13T10:30:00Z"),
        ] {
            assert_eq!(parse(&[("since", text)]).unwrap().since, Some(at.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn bad_values_are_named() {
        let huge = "9".repeat(40);
        for (key, value) in [
            ("tail", "-1"),
            ("tail", "10001"),
            ("tail", "all"),
            ("tail", &huge),
            ("since", "yesterday"),
            ("since", "-5"),
            ("since", "0s"),
            ("since", "m"),
            ("since", "10m5"),
            ("since", "1é"),
            ("since", "99999999999999d"),
            ("since", &huge),
            ("since", "2026-13-01T00:00:00Z"),
            ("previous", "yes"),
            ("follow", "TRUE"),
        ] {
            assert_eq!(parse(&[(key, value)]).unwrap_err().field, key, "{value}");
        }
    }
}
