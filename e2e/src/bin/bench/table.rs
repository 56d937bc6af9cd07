//! Samples and the table they are printed in.

use std::fmt;
use std::time::Duration;

pub(crate) const FOOT: &str = "ratio: p50 against the peer's p50. Below 100 samples the p99 is the largest one.";

/// Milliseconds unless a row says otherwise; a delay may be negative.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, taken: Duration) {
        self.push_ms(taken.as_secs_f64() * 1000.0);
    }

    pub(crate) fn push_ms(&mut self, ms: f64) {
        self.push_value(ms);
    }

    /// In the unit of its row.
    pub(crate) fn push_value(&mut self, value: f64) {
        let at = self.0.partition_point(|sample| *sample < value);
        self.0.insert(at, value);
    }

    /// The nearest-rank percentile; not a number without samples.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

/// One line of the table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    words: [String; 9],
    unit: &'static str,
}

impl Row {
    pub(crate) fn timed(what: &str, ours: &Samples) -> Self {
        Self::measured(what, "ms", ours)
    }

    pub(crate) fn measured(what: &str, unit: &'static str, ours: &Samples) -> Self {
        let mut row = Self { unit, ..Self::default() };
        let [name, count, p50, p99, ..] = &mut row.words;
        *name = what.to_owned();
        *count = ours.0.len().to_string();
        (*p50, *p99) = (shown(ours.percentile(50), unit), shown(ours.percentile(99), unit));
        row
    }

    /// A figure that is no time.
    pub(crate) fn figure(what: &str, count: usize, text: String) -> Self {
        let mut row = Self::default();
        let [name, samples, p50, ..] = &mut row.words;
        (*name, *samples, *p50) = (what.to_owned(), count.to_string(), text);
        row
    }

    /// `ours` again, beside what the same run took for `peer`.
    pub(crate) fn against(mut self, peer: &str, ours: &Samples, theirs: &Samples) -> Self {
        let [.., name, p50, p99, ratio, _note] = &mut self.words;
        *name = peer.to_owned();
        (*p50, *p99) = (shown(theirs.percentile(50), self.unit), shown(theirs.percentile(99), self.unit));
        *ratio = format!("{:.2}", ours.percentile(50) / theirs.percentile(50));
        self
    }

    pub(crate) fn note(mut self, note: String) -> Self {
        let [.., last] = &mut self.words;
        *last = note;
        self
    }
}

pub(crate) fn head() -> Row {
    let words = ["row", "samples", "p50", "p99", "peer", "p50", "p99", "ratio", ""];
    Row { words: words.map(str::to_owned), ..Row::default() }
}

fn shown(value: f64, unit: &str) -> String {
    let digits = if value.abs() < 10.0 { 2 } else { 0 };
    format!("{value:.digits$} {unit}")
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [what, count, p50, p99, peer, peer_p50, peer_p99, ratio, note] = &self.words;
        let line = format!(
            "{what:<44} {count:>7} {p50:>12} {p99:>10}   {peer:<26} {peer_p50:>9} {peer_p99:>9} {ratio:>6}  {note}"
        );
        f.write_str(line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn percentiles_are_samples() {
        let mut samples = Samples::default();
        (1..=200).rev().for_each(|ms| samples.push_ms(f64::from(ms)));
        assert_eq!((samples.percentile(50), samples.percentile(99)), (100.0, 198.0));
        assert!(Samples::default().percentile(50).is_nan());
    }
}
