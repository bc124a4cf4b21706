//! When something is signed again: a pure function of the time, of what was published last, and of
//! how long the token was away before.
//!
//! An artefact is signed early enough that two outages of the token, as long as the longest that was
//! seen, do not let it run out. Nothing is ever signed with an older thisUpdate than what was published
//! before: a clock that was set back makes the schedule wait, and say so.

use policy::effects::UnixTime;

/// How long an artefact is good, and how often there is a new one; in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// From thisUpdate to nextUpdate.
    pub lifetime: u64,
    /// From one to the next, if nothing is in the way; less than `lifetime`.
    pub every: u64,
}

/// What was published last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its thisUpdate.
    pub this_update: UnixTime,
    /// Its nextUpdate.
    pub next_update: UnixTime,
}

/// What is to be done.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing before that time.
    At(UnixTime),
    /// Nothing can be signed before that time: this host's clock is behind what was published.
    Behind(UnixTime),
    /// It is time to sign.
    Now,
}

impl Terms {
    /// What is due at `now`. `outage` is the longest time in seconds that the token is known to have
    /// been away; `jitter` is any number: it spreads what was signed together, and only ever makes
    /// it earlier.
    pub fn due(&self, now: UnixTime, last: Option<Last>, outage: u64, jitter: u64) -> Due {
        let Some(last) = last else { return Due::Now };
        if now < last.this_update {
            return Due::Behind(last.this_update);
        }
        let at = self.next(last, outage, jitter);
        if at <= now { Due::Now } else { Due::At(at) }
    }

    /// When the successor of `last` is to be signed.
    pub fn next(&self, last: Last, outage: u64, jitter: u64) -> UnixTime {
        // What was signed under other terms keeps its own lifetime.
        let lifetime = last.next_update.0.saturating_sub(last.this_update.0);
        let margin = self.margin(lifetime, outage);
        let latest = last.next_update.minus(margin);
        let regular = last.this_update.plus(self.every).min(latest);
        let room = regular.0.saturating_sub(last.this_update.0);
        // A twentieth of the pause at most.
        let early = jitter % (room / 20 + 1);
        regular.minus(early).max(last.this_update)
    }

    /// How long before the end of `lifetime` the successor is signed at the latest: two outages, and
    /// a quarter of the lifetime if none is known, but never more than three quarters, or it would be
    /// signed all the time.
    fn margin(&self, lifetime: u64, outage: u64) -> u64 {
        let quarter = lifetime / 4;
        outage.saturating_mul(2).saturating_add(MINUTE).clamp(quarter, quarter * 3)
    }

    /// thisUpdate and nextUpdate of what is signed at `now`, unless the clock is behind `last`.
    pub fn window(&self, now: UnixTime, last: Option<Last>) -> Option<(UnixTime, UnixTime)> {
        match last {
            Some(last) if now < last.this_update => None,
            _ => Some((now, now.plus(self.lifetime))),
        }
    }
}

/// What of a lifetime is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// It has run out.
    Expired,
    /// Less than a tenth is left.
    Critical,
    /// Less than a quarter is left: its successor is late.
    Late,
    /// All is well.
    Good,
    /// Its thisUpdate has not come: this host's clock is behind.
    Early,
}

impl Freshness {
    /// How fresh `last` is at `now`.
    pub fn of(last: Last, now: UnixTime) -> Self {
        if now < last.this_update {
            return Self::Early;
        }
        let lifetime = last.next_update.0.saturating_sub(last.this_update.0);
        match last.next_update.0.checked_sub(now.0) {
            None | Some(0) => Self::Expired,
            Some(left) if left < lifetime / 10 => Self::Critical,
            Some(left) if left < lifetime / 4 => Self::Late,
            Some(_) => Self::Good,
        }
    }

    /// One word for people and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Early => "early",
            Self::Expired => "expired",
            Self::Good => "good",
            Self::Late => "late",
        }
    }
}

/// How long the token is away, and was: measured from the outcome of what was asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outages {
    since: Option<UnixTime>,
    longest: u64,
}

impl Outages {
    /// With the longest outage that is known from before, in seconds.
    pub fn known(longest: u64) -> Self {
        Self { since: None, longest: longest.min(LONGEST) }
    }

    /// Something could not be signed at `now`, because the token or its signer is away.
    pub fn failed(&mut self, now: UnixTime) {
        // A clock that was set back must not make an outage of it.
        self.since = Some(self.since.map_or(now, |since| since.min(now)));
    }

    /// Something was signed at `now`. Says how long the outage was that ended, if one did.
    pub fn signed(&mut self, now: UnixTime) -> Option<u64> {
        let length = now.0.saturating_sub(self.since.take()?.0).min(LONGEST);
        self.longest = self.longest.max(length);
        Some(length)
    }

    /// The longest, the one that goes on at `now` included; in seconds.
    pub fn longest(&self, now: UnixTime) -> u64 {
        let present = self.since.map_or(0, |since| now.0.saturating_sub(since.0));
        self.longest.max(present).min(LONGEST)
    }

    /// Since when the token is away, if it is.
    pub fn since(&self) -> Option<UnixTime> {
        self.since
    }
}

const MINUTE: u64 = 60;

/// Longest outage that counts, in seconds: what is longer is a step of the clock, or no operation.
const LONGEST: u64 = 30 * 86_400;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;
    const YEAR: u64 = 365 * 86_400;
    const NOW: UnixTime = UnixTime(1_795_392_000);

    fn terms() -> impl Strategy<Value = Terms> {
        (HOUR..400 * 86_400, 1..=10u64)
            .prop_map(|(lifetime, part)| Terms { lifetime, every: (lifetime * part / 20).max(60) })
    }

    fn last(terms: Terms) -> Last {
        Last { this_update: NOW, next_update: NOW.plus(terms.lifetime) }
    }

    #[test]
    fn what_was_never_published_is_due() {
        assert_eq!(Terms { lifetime: HOUR, every: 60 }.due(NOW, None, 0, 7), Due::Now);
    }

    #[test]
    fn a_clock_that_was_set_back_signs_nothing_until_it_has_passed_what_was_published() {
        let terms = Terms { lifetime: 7 * 86_400, every: 12 * HOUR };
        for step in [1, HOUR, YEAR] {
            let now = NOW.minus(step);
            assert_eq!(terms.due(now, Some(last(terms)), 0, 0), Due::Behind(NOW));
            assert_eq!(terms.window(now, Some(last(terms))), None);
        }
    }

    #[test]
    fn a_clock_that_was_set_forward_signs_at_once_if_what_was_published_is_over() {
        let terms = Terms { lifetime: 7 * 86_400, every: 12 * HOUR };
        assert_eq!(terms.due(NOW.plus(YEAR), Some(last(terms)), 0, 0), Due::Now);
        assert!(matches!(terms.due(NOW.plus(HOUR), Some(last(terms)), 0, 0), Due::At(_)));
    }

    #[test]
    fn an_outage_is_measured_and_a_step_of_the_clock_is_none() {
        let mut outages = Outages::default();
        outages.failed(NOW);
        outages.failed(NOW.plus(50));
        assert_eq!(outages.longest(NOW.plus(90)), 90);
        assert_eq!(outages.signed(NOW.plus(100)), Some(100));
        assert_eq!(outages.signed(NOW.plus(101)), None);
        assert_eq!(outages.longest(NOW.plus(YEAR)), 100);
        outages.failed(NOW);
        assert_eq!(outages.signed(NOW.minus(YEAR)), Some(0));
        outages.failed(NOW);
        assert_eq!(outages.signed(NOW.plus(YEAR)), Some(LONGEST));
    }

    #[test]
    fn freshness_falls_as_the_end_comes_near() {
        let last = Last { this_update: NOW, next_update: NOW.plus(1000) };
        let at = |seconds| Freshness::of(last, NOW.plus(seconds));
        assert_eq!(Freshness::of(last, NOW.minus(1)), Freshness::Early);
        assert_eq!(
            [at(0), at(750), at(751), at(900), at(901), at(999), at(1000)],
            [
                Freshness::Good,
                Freshness::Good,
                Freshness::Late,
                Freshness::Late,
                Freshness::Critical,
                Freshness::Critical,
                Freshness::Expired
            ]
        );
    }

    proptest! {
        #[test]
        fn the_margin_survives_two_outages_that_fit_the_lifetime(terms in terms(), outage in 0..YEAR, jitter: u64) {
            let last = last(terms);
            let left = last.next_update.0 - terms.next(last, outage, jitter).0;
            let needed = (2 * outage).min(terms.lifetime / 4 * 3);
            prop_assert!(left >= needed, "{left} s are left for {needed} s");
            prop_assert!(left >= terms.lifetime / 4);
        }

        #[test]
        fn jitter_only_makes_it_earlier_and_by_a_twentieth_at_most(terms in terms(), outage in 0..YEAR, jitter: u64) {
            let last = last(terms);
            let (plain, early) = (terms.next(last, outage, 0), terms.next(last, outage, jitter));
            prop_assert!(early <= plain && early >= last.this_update);
            prop_assert!(plain.0 - early.0 <= (plain.0 - last.this_update.0) / 20);
        }

        #[test]
        fn it_is_due_from_then_on_and_not_before(terms in terms(), outage in 0..YEAR, jitter: u64, after in 0..2 * YEAR) {
            let last = last(terms);
            let next = terms.next(last, outage, jitter);
            let now = NOW.plus(after);
            let expected = if now >= next { Due::Now } else { Due::At(next) };
            prop_assert_eq!(terms.due(now, Some(last), outage, jitter), expected);
        }

        #[test]
        fn this_update_never_goes_back(terms in terms(), steps in prop::collection::vec(-2 * (YEAR as i64)..2 * YEAR as i64, 1..40)) {
            let (mut now, mut published) = (NOW.0 as i64, None::<Last>);
            for step in steps {
                now = (now + step).max(0);
                let at = UnixTime(now as u64);
                if terms.due(at, published, 0, now as u64) != Due::Now {
                    continue;
                }
                let (this_update, next_update) = terms.window(at, published).expect("what is due has a window");
                prop_assert!(published.is_none_or(|last| last.this_update <= this_update));
                prop_assert!(next_update > this_update);
                published = Some(Last { this_update, next_update });
            }
        }
    }
}
