//! The generic cell rate algorithm: a bucket is one number, the time at which it is full again.
//! Pure: the time is an argument.

use std::time::Duration;

use policy::effects::UnixTime;
use serde::{Deserialize, Serialize};

use crate::config::Rate;

/// A bucket. What is not known of is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bucket {
    /// Microseconds since 1970 at which it is full again.
    pub(super) full_at: u64,
}

impl Bucket {
    /// The bucket with one less in it, or how long until there is one.
    pub(super) fn take(self, rate: Rate, now: UnixTime) -> Result<Self, Duration> {
        let after = self.settled(rate, now).saturating_add(interval(rate));
        match after.saturating_sub(ceiling(rate, now)) {
            0 => Ok(Self { full_at: after }),
            wait => Err(Duration::from_micros(wait)),
        }
    }

    /// How many are in it.
    pub(super) fn left(self, rate: Rate, now: UnixTime) -> u32 {
        let room = ceiling(rate, now).saturating_sub(self.settled(rate, now));
        u32::try_from(room / interval(rate)).unwrap_or(u32::MAX)
    }

    /// Whether nothing is missing: such a bucket need not be remembered.
    pub(super) fn is_full(self, now: UnixTime) -> bool {
        self.full_at <= micros(now)
    }

    /// The bucket after `added` microseconds' worth was taken by somebody else, who began at `since`.
    pub(super) fn merged(self, since: u64, added: u64) -> Self {
        Self { full_at: self.full_at.max(since).saturating_add(added) }
    }

    /// When it is full again, as this rate can have it: never before now, and never later than an
    /// empty bucket is full. A clock that was set back or a rate that was changed costs no more.
    fn settled(self, rate: Rate, now: UnixTime) -> u64 {
        self.full_at.clamp(micros(now), ceiling(rate, now))
    }
}

/// What one costs, in microseconds.
pub(super) fn interval(rate: Rate) -> u64 {
    // A period is 400 days at most, and has a microsecond at least for each.
    u64::try_from(rate.period().as_micros()).unwrap_or(u64::MAX) / u64::from(rate.burst())
}

/// Microseconds since 1970.
pub(super) fn micros(time: UnixTime) -> u64 {
    time.0.saturating_mul(1_000_000)
}

/// When an empty bucket is full again.
fn ceiling(rate: Rate, now: UnixTime) -> u64 {
    micros(now).saturating_add(interval(rate) * u64::from(rate.burst()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rates() -> impl Strategy<Value = Rate> {
        (1..500u32, 1..100_000u64).prop_map(|(burst, seconds)| format!("{burst} per {seconds}s").parse().unwrap())
    }

    /// Times that never go back, and how often something is asked for at each.
    fn load() -> impl Strategy<Value = Vec<(u64, u8)>> {
        prop::collection::vec((0..2000u64, 0..20u8), 1..60)
    }

    #[test]
    fn a_full_bucket_gives_its_burst_at_once_and_then_one_at_a_time() {
        let rate: Rate = "3 per 30s".parse().unwrap();
        let now = UnixTime(1_000_000);
        let mut bucket = Bucket::default();
        for left in [2, 1, 0] {
            bucket = bucket.take(rate, now).unwrap();
            assert_eq!(bucket.left(rate, now), left);
        }
        assert_eq!(bucket.take(rate, now), Err(Duration::from_secs(10)));
        assert_eq!(bucket.take(rate, now.plus(9)), Err(Duration::from_secs(1)));
        bucket = bucket.take(rate, now.plus(10)).unwrap();
        assert!(bucket.take(rate, now.plus(10)).is_err());
        assert!(!bucket.is_full(now.plus(39)) && bucket.is_full(now.plus(40)));
    }

    #[test]
    fn a_clock_that_was_set_back_blocks_for_one_period_at_most() {
        let rate: Rate = "3 per 30s".parse().unwrap();
        let bucket = Bucket::default().take(rate, UnixTime(2_000_000_000)).unwrap();
        assert_eq!(bucket.take(rate, UnixTime(1_000_000_000)), Err(Duration::from_secs(10)));
        assert!(bucket.take(rate, UnixTime(1_000_000_030)).is_err(), "nothing was taken: it stays in the future");
    }

    proptest! {
        #[test]
        fn no_window_sees_more_than_the_burst_and_what_was_refilled(rate in rates(), load in load()) {
            let (mut now, mut bucket, mut granted) = (UnixTime(1_000), Bucket::default(), Vec::new());
            for (pause, times) in load {
                now = now.plus(pause);
                for _ in 0..times {
                    if let Ok(next) = bucket.take(rate, now) {
                        bucket = next;
                        granted.push(micros(now));
                    }
                }
            }
            for (first, from) in granted.iter().enumerate() {
                for (last, to) in granted.iter().enumerate().skip(first) {
                    let most = u64::from(rate.burst()) + (to - from) / interval(rate);
                    prop_assert!((last - first + 1) as u64 <= most);
                }
            }
        }

        #[test]
        fn what_was_refused_is_granted_after_the_time_it_was_told(rate in rates(), begin in 0..1u64 << 40) {
            let now = UnixTime(begin);
            let mut bucket = Bucket::default();
            let wait = loop {
                match bucket.take(rate, now) {
                    Ok(next) => bucket = next,
                    Err(wait) => break wait,
                }
            };
            let seconds = wait.as_micros().div_ceil(1_000_000) as u64;
            prop_assert!(bucket.take(rate, now.plus(seconds)).is_ok());
            prop_assert_eq!(bucket.left(rate, now), 0);
        }

        #[test]
        fn whoever_asks_no_faster_than_the_rate_is_never_refused(rate in rates(), times in 1..200usize) {
            let step = interval(rate).div_ceil(1_000_000);
            let (mut now, mut bucket) = (UnixTime(5), Bucket::default());
            for _ in 0..times {
                bucket = bucket.take(rate, now).unwrap();
                now = now.plus(step);
            }
        }

        #[test]
        fn no_time_and_no_bucket_panics(rate in rates(), full_at: u64, now: u64) {
            let (bucket, now) = (Bucket { full_at }, UnixTime(now));
            let _ = bucket.take(rate, now);
            prop_assert!(bucket.left(rate, now) <= rate.burst());
        }
    }
}
