//! Counts by classes, as Prometheus has them.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many values fell into each class, and their sum.
pub struct Histogram {
    /// Upper ends of the classes, ascending; above the last is one more.
    ends: &'static [u64],
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

/// Upper ends for what takes time, in microseconds: from a read in memory to a deadline.
pub const MICROS: &[u64] =
    &[500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000];

impl Histogram {
    /// An empty one.
    pub fn new(ends: &'static [u64]) -> Self {
        let counts = std::iter::repeat_with(AtomicU64::default).take(ends.len() + 1).collect();
        Self { ends, counts, sum: AtomicU64::default() }
    }

    /// Counts one value.
    pub fn note(&self, value: u64) {
        self.counts[self.ends.partition_point(|end| *end < value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a time, in microseconds.
    pub fn note_time(&self, time: Duration) {
        self.note(u64::try_from(time.as_micros()).unwrap_or(u64::MAX >> 1));
    }

    /// Writes it as the series `name` with these labels (`a="b",c="d"`); `unit` of what was counted are
    /// one of what is written.
    pub fn render(&self, text: &mut String, name: &str, labels: &str, unit: f64) -> fmt::Result {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        render(text, name, labels, unit, (self.ends, &counts, self.sum.load(Ordering::Relaxed)))
    }
}

/// Writes counts by class, and the sum of what was counted.
pub fn render(
    text: &mut String,
    name: &str,
    labels: &str,
    unit: f64,
    (ends, counts, sum): (&[u64], &[u64], u64),
) -> fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut all = 0;
    for (at, count) in counts.iter().enumerate() {
        all += count;
        match ends.get(at) {
            Some(end) => writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{}\"}} {all}", *end as f64 / unit)?,
            None => writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {all}")?,
        }
    }
    let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    writeln!(text, "{name}_sum{braces} {}", sum as f64 / unit)?;
    writeln!(text, "{name}_count{braces} {all}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_written_as_sums_up_to_their_ends() {
        let histogram = Histogram::new(&[1_000, 2_000]);
        for value in [0, 1_000, 1_001, 5_000] {
            histogram.note(value);
        }
        let mut text = String::new();
        histogram.render(&mut text, "x_seconds", "a=\"b\"", 1_000.0).unwrap();
        assert_eq!(
            text,
            "x_seconds_bucket{a=\"b\",le=\"1\"} 2\nx_seconds_bucket{a=\"b\",le=\"2\"} 3\n\
             x_seconds_bucket{a=\"b\",le=\"+Inf\"} 4\nx_seconds_sum{a=\"b\"} 7.001\nx_seconds_count{a=\"b\"} 4\n"
        );
        let mut text = String::new();
        histogram.render(&mut text, "x", "", 1.0).unwrap();
        assert!(text.starts_with("x_bucket{le=\"1000\"} 2\n") && text.ends_with("x_sum 7001\nx_count 4\n"), "{text}");
    }
}
