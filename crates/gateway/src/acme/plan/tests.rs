#![allow(clippy::unwrap_used, reason = "test code")]

use super::super::state::{Book, Claim, tests::certificate};
use super::*;

/// Minutes after an arbitrary moment.
fn at(minutes: i64) -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minutes)
}

fn wanted(directory: &str) -> Wanted {
    Wanted { directory: directory.to_owned(), names: vec!["compute.example.com".to_owned()] }
}

fn book() -> Book {
    Book { wanted: wanted("https://ca"), ..Book::default() }
}

fn claim(by: &str, until: i64) -> Option<Claim> {
    Some(Claim { by: by.to_owned(), until: at(until) })
}

#[test]
fn what_is_done_now() {
    let good = || Book { renew_at: Some(at(100)), ask_at: Some(at(40)), ..book() };
    let wait = |minutes| Step::Wait(Some(at(minutes)));
    for (what, there, book, asked, now, expected) in [
        ("an empty Secret", false, Book::default(), true, 0, Step::Order),
        ("no certificate yet", false, book(), true, 0, Step::Order),
        ("it failed", false, Book { failures: 1, retry_at: Some(at(5)), ..book() }, true, 0, wait(5)),
        ("it failed a while ago", false, Book { failures: 1, retry_at: Some(at(5)), ..book() }, true, 5, Step::Order),
        ("another orders", false, Book { claim: claim("you", 4), ..book() }, true, 0, wait(4)),
        ("another died", false, Book { claim: claim("you", 4), ..book() }, true, 4, Step::Order),
        ("our own claim was left", false, Book { claim: claim("me", 4), ..book() }, true, 0, Step::Order),
        ("all is well", true, good(), true, 0, wait(40)),
        ("we were started", true, good(), false, 0, Step::Ask),
        ("another asks or orders", true, Book { claim: claim("you", 4), ..good() }, false, 0, wait(4)),
        ("it is time to ask", true, good(), true, 40, Step::Ask),
        ("the directory never says", true, Book { ask_at: None, ..good() }, true, 0, wait(100)),
        ("it is time to renew", true, good(), true, 100, Step::Order),
        ("renewing comes before asking", true, good(), false, 100, Step::Order),
        ("renewing failed", true, Book { retry_at: Some(at(107)), ask_at: None, ..good() }, true, 100, wait(107)),
        (
            "renewing failed long ago",
            true,
            Book { retry_at: Some(at(90)), ask_at: None, ..good() },
            true,
            95,
            wait(100),
        ),
        ("of other settings", true, Book { wanted: wanted("https://old"), ..good() }, true, 0, Step::Order),
        ("taken over from other settings", true, Book { renew_at: None, ..good() }, true, 0, Step::Order),
        (
            "of other settings, just now",
            true,
            Book { wanted: wanted("https://old"), ordered_at: Some(at(0)), ..good() },
            true,
            1,
            wait(3),
        ),
    ] {
        let state = State { book, account: None, certificate: there.then(certificate) };
        assert_eq!(decide(&state, &wanted("https://ca"), "me", asked, at(now)), expected, "{what}");
    }
}

#[test]
fn a_moment_to_renew() {
    let days = |from: i64, until: i64| (at(from * 1440), at(until * 1440));
    let life = |length: i64| Validity { from: at(0), until: at(length * 1440) };
    assert_eq!(renewal(life(90)), at(60 * 1440));
    assert_eq!(renewal(life(6)), at(3 * 1440));
    for (window, length, chance, expected) in [
        (days(58, 62), 90, 0.0, at(58 * 1440)),
        (days(58, 62), 90, 0.5, at(60 * 1440)),
        (days(58, 62), 90, 1.0, at(62 * 1440)),
        // Already over: at once, but not without end.
        (days(-9, -8), 90, 0.3, at(6 * 60)),
        (days(-9, -8), 1, 0.3, at(72)),
        // When it would have expired.
        (days(80, 200), 90, 0.9, at(81 * 1440)),
        (days(62, 58), 90, 0.9, at(62 * 1440)),
    ] {
        let window = Window { start: window.0, end: window.1 };
        assert_eq!(renewal_within(window, life(length), chance), expected, "{window:?}");
    }
    assert_eq!(ask_again(TimeDelta::hours(6), at(0)), at(360));
    assert_eq!(ask_again(TimeDelta::zero(), at(0)), at(1));
    assert_eq!(ask_again(TimeDelta::MAX, at(0)), at(1440));
}

#[test]
fn a_moment_to_try_again() {
    let seconds = |at_: DateTime<Utc>| (at_ - at(0)).num_seconds();
    for (failures, refused, hint, chance, expected) in [
        (1, false, None, 0.5, 5),
        (2, false, None, 0.5, 10),
        (1, true, None, 0.5, 60),
        (1, true, None, 0.0, 45),
        (1, true, None, 1.0, 75),
        (4, true, None, 0.5, 480),
        (u32::MAX, true, None, 0.5, 6 * 3600),
        (u32::MAX, false, None, 0.5, 3600),
        (1, true, Some(at(90)), 0.5, 5400),
        (1, true, Some(at(-90)), 0.5, 60),
        (1, true, Some(at(1_000_000)), 0.5, 7 * 86_400),
    ] {
        let found = retry(failures, refused, hint, at(0), chance);
        assert_eq!(seconds(found), expected, "{failures} {refused} {hint:?} {chance}");
    }
}
