//! What a replica does now, and until when it has nothing to do. Pure: time and chance are inputs.

use std::cmp;

use chrono::{DateTime, TimeDelta, Utc};

use super::state::{State, Validity, Wanted, Window};

/// An order is given up before the claim on it runs out: nobody then believes to be the only one who is not.
pub(super) const CLAIM: TimeDelta = TimeDelta::minutes(5);
/// Replicas whose settings differ while they are rolled out would order in turns.
const SETTINGS_SETTLE: TimeDelta = TimeDelta::minutes(3);
/// Of failures before the authority said anything, and of those that it had a word in: it counts those.
const NO_ANSWER: (TimeDelta, TimeDelta) = (TimeDelta::seconds(5), TimeDelta::hours(1));
const REFUSED: (TimeDelta, TimeDelta) = (TimeDelta::minutes(1), TimeDelta::hours(6));
/// Nobody who says "later" means longer than that.
const LATEST_RETRY: TimeDelta = TimeDelta::days(7);
/// How often the directory is asked when to renew, whatever it says itself.
const ASK_AGAIN: (TimeDelta, TimeDelta) = (TimeDelta::minutes(1), TimeDelta::days(1));

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Nothing before that, unless the Secret changes.
    Wait(Option<DateTime<Utc>>),
    /// Ask the directory when it wants the certificate renewed.
    Ask,
    Order,
}

/// `me` is this process; `asked`: whether it asked the directory since it started.
pub(super) fn decide(state: &State, wanted: &Wanted, me: &str, asked: bool, now: DateTime<Utc>) -> Step {
    let book = &state.book;
    if let Some(claim) = book.claim.as_ref().filter(|claim| claim.by != me && now < claim.until) {
        return Step::Wait(Some(claim.until));
    }
    if book.wanted != *wanted {
        return order_from(book.ordered_at.map(|at| at + SETTINGS_SETTLE), now);
    }
    let (Some(_), Some(renew_at)) = (&state.certificate, book.renew_at) else {
        return order_from(book.retry_at, now);
    };
    let due = cmp::max(Some(renew_at), book.retry_at);
    let ask = if asked { book.ask_at } else { Some(now) };
    match order_from(due, now) {
        Step::Wait(_) if ask.is_some_and(|at| at <= now) => Step::Ask,
        Step::Wait(due) => Step::Wait(ask.into_iter().chain(due).min()),
        step => step,
    }
}

fn order_from(at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Step {
    match at {
        Some(at) if now < at => Step::Wait(Some(at)),
        _due => Step::Order,
    }
}

/// Where the directory does not say: after two thirds, of short lives after half.
pub(super) fn renewal(validity: Validity) -> DateTime<Utc> {
    let life = validity.life();
    validity.from + if life < TimeDelta::days(10) { life / 2 } else { life * 2 / 3 }
}

/// A moment in the window (RFC 9773, 4.2), `chance` of the way through it. Not so early that an authority whose windows have
/// always passed would be asked for one certificate after the other, nor so late that nothing may go wrong.
pub(super) fn renewal_within(window: Window, validity: Validity, chance: f64) -> DateTime<Utc> {
    let life = validity.life();
    let earliest = validity.from + cmp::min(life / 20, TimeDelta::hours(6));
    let latest = validity.from + life * 9 / 10;
    let chosen = window.start + part(window.end - window.start, chance);
    chosen.clamp(earliest, latest)
}

/// When to ask again for the window.
pub(super) fn ask_again(hint: TimeDelta, now: DateTime<Utc>) -> DateTime<Utc> {
    now + hint.clamp(ASK_AGAIN.0, ASK_AGAIN.1)
}

/// After the `failures`-th failure in a row: twice as late each time, a quarter earlier or later, and never before the
/// authority wants to hear of us again.
pub(super) fn retry(
    failures: u32,
    refused: bool,
    hint: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    chance: f64,
) -> DateTime<Utc> {
    let (first, longest) = if refused { REFUSED } else { NO_ANSWER };
    let doubled = first * 2_i32.pow(failures.saturating_sub(1).min(16));
    let pause = cmp::min(doubled, longest);
    let at = now + pause * 3 / 4 + part(pause / 2, chance);
    hint.map_or(at, |hint| cmp::max(at, cmp::min(hint, now + LATEST_RETRY)))
}

fn part(of: TimeDelta, chance: f64) -> TimeDelta {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "milliseconds of weeks")]
    let milliseconds = (of.num_milliseconds().max(0) as f64 * chance.clamp(0.0, 1.0)) as i64;
    TimeDelta::milliseconds(milliseconds)
}

#[cfg(test)]
mod tests;
