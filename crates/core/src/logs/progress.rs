//! How far a reader of a log has come, so that a stream that broke is taken up again without losing or doubling a line.
//!
//! Kubernetes can only be asked for the lines since a whole second. What was read of that second comes again, in the same
//! order, and is skipped here. Lines of two streams (stdout and stderr) may be out of order by a little.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

/// The place of one line in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    at: DateTime<Utc>,
    /// How many lines in a row, up to this one, have this very time.
    nth: u32,
    /// The latest time of any line up to this one.
    latest: DateTime<Utc>,
}

impl Position {
    /// The place of the line after `before`.
    fn next(before: Option<Self>, at: DateTime<Utc>) -> Self {
        match before {
            None => Self { at, nth: 1, latest: at },
            Some(before) => {
                let nth = if before.at == at { before.nth.saturating_add(1) } else { 1 };
                Self { at, nth, latest: before.latest.max(at) }
            }
        }
    }
}

/// Tells new lines from those that come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    reached: Option<Position>,
    /// Lines seen again that have the time of the one that was reached; `None` once that one has passed.
    again: Option<u32>,
}

impl Progress {
    /// As if every line up to this place had been read.
    pub fn after(reached: Option<Position>) -> Self {
        Self { reached, again: None }
    }

    /// The time to ask for when the stream is opened (again); `None`: from the beginning. The lines that follow are
    /// shown to [`admit`](Self::admit).
    pub fn reopen(&mut self) -> Option<DateTime<Utc>> {
        self.again = self.reached.map(|_| 0);
        self.reached.map(|reached| reached.at)
    }

    /// Whether a line that was written at this time is still to come.
    pub fn lacks(&self, at: DateTime<Utc>) -> bool {
        self.reached.is_none_or(|reached| at > reached.latest)
    }

    /// Whether the line that was written at this time is new. It counts as read from now on.
    pub fn admit(&mut self, at: DateTime<Utc>) -> bool {
        if let (Some(reached), Some(again)) = (self.reached, &mut self.again) {
            if at == reached.at {
                *again += 1;
                if *again >= reached.nth {
                    self.again = None;
                }
                return false;
            }
            if at <= reached.latest {
                return false;
            }
        }
        self.again = None;
        self.reached = Some(Position::next(self.reached, at));
        true
    }
}

/// Finds where the last `lines` lines begin, in memory that does not depend on what they hold.
#[derive(Debug)]
pub struct Tail {
    lines: usize,
    last: VecDeque<Position>,
    before: Option<Position>,
}

impl Tail {
    pub fn new(lines: u32) -> Self {
        Self { lines: lines as usize, last: VecDeque::new(), before: None }
    }

    pub fn push(&mut self, at: DateTime<Utc>) {
        self.last.push_back(Position::next(self.last.back().copied().or(self.before), at));
        if self.last.len() > self.lines {
            self.before = self.last.pop_front();
        }
    }

    /// The place before the first of them; `None` when there are not more than these lines.
    pub fn before(&self) -> Option<Position> {
        self.before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(nanos)
    }

    /// Reads `log` up to `broken_at`, then again from the start of that second.
    fn read_again(log: &[i64], broken_at: usize) -> Vec<i64> {
        let mut progress = Progress::default();
        let mut read = Vec::new();
        assert_eq!(progress.reopen(), None);
        read.extend(log[..broken_at].iter().filter(|nanos| progress.admit(at(**nanos))));
        let second = progress.reopen().map_or(0, |since| since.timestamp() * 1_000_000_000);
        let rest = log.iter().filter(|nanos| **nanos >= second);
        read.extend(rest.filter(|nanos| progress.admit(at(**nanos))));
        read
    }

    #[test]
    fn a_broken_stream_is_taken_up_anywhere() {
        const S: i64 = 1_000_000_000;
        for log in [
            vec![1, 2, 3],
            vec![1, 1, 1, 2, 2, 2],
            vec![S - 1, S, S, S + 1, 2 * S, 2 * S],
            // stderr before stdout by a little.
            vec![5, 9, 8, 10, 7, 11],
        ] {
            for broken_at in 0..=log.len() {
                assert_eq!(read_again(&log, broken_at), log, "broken after {broken_at}");
            }
        }
    }

    #[test]
    fn another_log_begins_where_the_first_one_ended() {
        let mut progress = Progress::default();
        progress.reopen();
        assert!(progress.admit(at(1)) && progress.admit(at(2)));
        progress.reopen();
        assert!(progress.admit(at(3)) && progress.admit(at(3)) && progress.admit(at(2)));
    }

    #[test]
    fn what_is_still_to_come() {
        let mut progress = Progress::default();
        assert!(progress.lacks(at(1)), "nothing was read");
        progress.admit(at(5));
        progress.admit(at(4));
        for (nanos, lacks) in [(3, false), (4, false), (5, false), (6, true)] {
            assert_eq!(progress.lacks(at(nanos)), lacks, "{nanos}");
        }
    }

    #[test]
    fn the_last_lines_of_a_log() {
        let log = [1, 2, 2, 2, 3];
        for (lines, rest) in
            [(0, &log[5..]), (1, &log[4..]), (2, &log[3..]), (4, &log[1..]), (5, &log[..]), (9, &log[..])]
        {
            let mut tail = Tail::new(lines);
            log.iter().for_each(|nanos| tail.push(at(*nanos)));
            let mut progress = Progress::after(tail.before());
            progress.reopen();
            let read: Vec<i64> = log.iter().copied().filter(|nanos| progress.admit(at(*nanos))).collect();
            assert_eq!(read, rest, "{lines}");
        }
    }
}
