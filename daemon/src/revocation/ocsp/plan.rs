//! How much is signed ahead of time, and how fast: from the rate at which the token was seen to sign.
//!
//! Signing ahead takes a part of the token's rate as long as it keeps up, and all of it when answers
//! come close to their end: a million certificates behind a token of ten signatures a second are a day's
//! work, and are begun two days before their answers run out.

use std::time::Duration;

/// What the token was seen to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    /// Signatures a second, all sessions together; 0 for not known.
    per_second: f64,
}

/// One turn of signing ahead.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Batches that are with the signer at the same time.
    pub batches: usize,
    /// Responses in each.
    pub size: usize,
    /// The part of the time in percent that the turn may take; the rest of it is a pause.
    pub share: u8,
}

impl Rate {
    /// Learns from `count` signatures that took so long.
    pub(super) fn saw(&mut self, count: usize, took: Duration) {
        let seconds = took.as_secs_f64().max(1e-6);
        let seen = count as f64 / seconds;
        // What was seen last counts a quarter: a busy moment is no trend.
        self.per_second = if self.per_second == 0.0 { seen } else { self.per_second * 0.75 + seen * 0.25 };
    }

    /// Signatures a second; 0 for not known.
    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }

    /// The next turn, when the oldest answer that is due has been so for `lag` seconds of a
    /// `lifetime`, with a signer that makes `sessions` signatures at once.
    pub(super) fn turn(&self, load: u8, lag: u64, lifetime: u64, sessions: u16, most: usize) -> Turn {
        let share = if lag > lifetime / HURRY { 100 } else { load.clamp(1, 100) };
        let sessions = usize::from(sessions.max(1));
        let batches = (sessions * usize::from(share)).div_ceil(100).clamp(1, MOST_BATCHES);
        // A batch takes about a second, so that a certificate never waits long behind it; a token that
        // is not known yet is asked for little.
        let size = if self.per_second == 0.0 { FIRST } else { (self.per_second / sessions as f64) as usize };
        // Part of the time if there is no part of the sessions.
        let share = if batches < sessions { 100 } else { share };
        Turn { batches, size: size.clamp(1, most), share }
    }
}

impl Turn {
    /// Responses in all.
    pub(super) fn count(&self) -> usize {
        self.batches * self.size
    }

    /// How long to wait after a turn that took so long.
    pub(super) fn pause(&self, took: Duration) -> Duration {
        took * u32::from(100 - self.share) / u32::from(self.share)
    }
}

/// What is due for longer than this part of its lifetime is signed with all that the token has: a
/// quarter of the lifetime or more is left then.
const HURRY: u64 = 8;

/// Signed in the first turn, before the rate is known.
const FIRST: usize = 8;

/// Batches that a signer takes at once beside other requests, however many sessions it has; with fewer
/// than sessions a hurry would not have all that the token can do.
const MOST_BATCHES: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Signs `answers` that all end at `lifetime` / 2 from now with a token of `rate` a second; when the
    /// last one is done, in seconds.
    fn simulate(answers: u64, rate: f64, load: u8, lifetime: u64, sessions: u16) -> f64 {
        let mut known = Rate::default();
        let (mut left, mut now) = (answers, 0.0);
        while left > 0 {
            let turn = known.turn(load, now as u64, lifetime, sessions, 200);
            let count = (turn.count() as u64).min(left);
            // Fewer batches than sessions use only their part of the token.
            let used = (turn.batches as f64 / f64::from(sessions.max(1))).min(1.0);
            let took = Duration::from_secs_f64(count as f64 / (rate * used));
            known.saw(count as usize, took.mul_f64(used));
            now += (took + turn.pause(took)).as_secs_f64();
            left -= count;
        }
        now
    }

    #[test]
    fn a_million_answers_of_a_token_of_ten_a_second_are_there_in_time() {
        let lifetime = 4 * 86_400;
        for sessions in [1, 4, 8] {
            let done = simulate(1_000_000, 10.0, 50, lifetime, sessions);
            assert!(done < lifetime as f64 / 2.0, "{sessions} sessions: {done} s");
        }
    }

    #[test]
    fn a_hurry_has_every_session() {
        // Once found by chance: eight of thirteen sessions were not enough.
        assert!(simulate(43_200, 1.0, 10, 2 * 86_400, 13) < 86_400.0);
    }

    #[test]
    fn while_it_keeps_up_it_leaves_the_token_to_others() {
        let mut rate = Rate::default();
        rate.saw(100, Duration::from_secs(1));
        let turn = rate.turn(50, 0, 86_400, 1, 200);
        assert_eq!(turn.pause(Duration::from_secs(1)), Duration::from_secs(1));
        assert_eq!(rate.turn(50, 0, 86_400, 8, 200).batches, 4);
        assert_eq!(rate.turn(50, 86_400 / 8 + 1, 86_400, 8, 200).batches, 8);
        assert_eq!(rate.turn(50, 86_400 / 8 + 1, 86_400, 1, 200).pause(Duration::from_secs(1)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn a_turn_takes_about_a_second_and_fits_a_request(rate in 0.1f64..1e5, load in 1u8..=100, sessions in 1u16..64) {
            let mut known = Rate::default();
            known.saw(1000, Duration::from_secs_f64(1000.0 / rate));
            let turn = known.turn(load, 0, 86_400, sessions, 200);
            prop_assert!((1..=200).contains(&turn.size) && turn.batches >= 1);
            prop_assert!(turn.size == 1 || turn.size as f64 <= rate / f64::from(sessions) + 1.0);
        }

        #[test]
        fn what_a_token_can_do_in_time_is_done_in_time(rate in 1.0f64..500.0, load in 10u8..=100, sessions in 1u16..16) {
            let lifetime = 2 * 86_400;
            // What it could do at half its rate in the half of the lifetime that is left.
            let answers = (rate * lifetime as f64 / 4.0).min(100_000.0) as u64;
            prop_assert!(simulate(answers, rate, load, lifetime, sessions) < lifetime as f64 / 2.0);
        }
    }
}
