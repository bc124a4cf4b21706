//! Validity periods, inclusive at both ends (RFC 5280 section 4.1.2.5). The only place that
//! computes one (J7).

use serde::{Deserialize, Serialize};

use crate::effects::UnixTime;

/// A validity period: both seconds belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    not_before: UnixTime,
    not_after: UnixTime,
}

/// The ends of a validity period that a requester asks for (RFC 8555 section 7.4). They are met
/// exactly or the request is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// First second, if the requester chose it.
    pub not_before: Option<UnixTime>,
    /// Last second, if the requester chose it.
    pub not_after: Option<UnixTime>,
}

/// Why there is no such period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    /// It would begin before this time, which no certificate signed now may.
    #[error("a certificate that is signed now cannot begin before {}", seconds_text(.0))]
    BeginsEarly(UnixTime),
    /// It would begin after this time, which is now.
    #[error("a certificate that is signed now cannot begin after {}", seconds_text(.0))]
    BeginsLate(UnixTime),
    /// No second lies in the period.
    #[error("the validity period would be empty: the issuer's certificate ends too early")]
    Empty,
    /// It would be over when it is signed.
    #[error("a certificate that is signed now cannot end before {}", seconds_text(.0))]
    EndsEarly(UnixTime),
    /// It would end after this time, the latest that profile and issuer allow.
    #[error("a certificate with this beginning cannot end after {}", seconds_text(.0))]
    EndsLate(UnixTime),
}

fn seconds_text(time: &UnixTime) -> String {
    let text = der::DateTime::from_unix_duration(core::time::Duration::from_secs(time.0)).map(|time| time.to_string());
    text.unwrap_or_else(|_| format!("{} s after 1970", time.0))
}

impl Validity {
    /// The period of `seconds` that starts `backdate` seconds before `now`, cut so that it lies
    /// within the issuer's. 90 days end at `not_before + 7_775_999`.
    pub fn within(issuer: Validity, now: UnixTime, backdate: u64, seconds: u64) -> Result<Self, ValidityError> {
        Self::requested(issuer, now, backdate, seconds, Requested::default())
    }

    /// The period that [`within`](Self::within) gives, with the ends that were requested instead of
    /// its own. Never altered: one that begins more than `backdate` before `now` or after it, is
    /// over, is longer than `seconds` or leaves the issuer's is refused.
    pub fn requested(
        issuer: Validity,
        now: UnixTime,
        backdate: u64,
        seconds: u64,
        requested: Requested,
    ) -> Result<Self, ValidityError> {
        let earliest = now.minus(backdate).max(issuer.not_before);
        let not_before = match requested.not_before {
            Some(time) if time < earliest => return Err(ValidityError::BeginsEarly(earliest)),
            Some(time) if time > now => return Err(ValidityError::BeginsLate(now)),
            Some(time) => time,
            None => earliest,
        };
        let latest = not_before.plus(seconds.saturating_sub(1)).min(issuer.not_after);
        let not_after = match requested.not_after {
            Some(time) if time < now => return Err(ValidityError::EndsEarly(now)),
            Some(time) if time > latest => return Err(ValidityError::EndsLate(latest)),
            Some(time) => time,
            None => latest,
        };
        Self::new(not_before, not_after)
    }

    /// The period from `not_before` to `not_after`, both included.
    pub fn new(not_before: UnixTime, not_after: UnixTime) -> Result<Self, ValidityError> {
        if not_before <= not_after { Ok(Self { not_before, not_after }) } else { Err(ValidityError::Empty) }
    }

    /// First second.
    pub fn not_before(self) -> UnixTime {
        self.not_before
    }

    /// Last second.
    pub fn not_after(self) -> UnixTime {
        self.not_after
    }

    /// Length in seconds, both ends included.
    pub fn seconds(self) -> u64 {
        self.not_after.0 - self.not_before.0 + 1
    }

    /// Whether `time` lies in the period.
    pub fn contains(self, time: UnixTime) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 86_400;

    fn period(first: u64, last: u64) -> Validity {
        Validity::new(UnixTime(first), UnixTime(last)).unwrap()
    }

    #[test]
    fn ninety_days_are_ninety_days_and_not_a_second_more() {
        let validity = Validity::within(period(0, u64::MAX), UnixTime(1_000_000), 3600, 90 * DAY).unwrap();
        assert_eq!(validity.not_before(), UnixTime(996_400));
        assert_eq!(validity.not_after(), UnixTime(996_400 + 7_775_999));
        assert_eq!(validity.seconds(), 90 * DAY);
    }

    #[test]
    fn both_ends_belong_to_it() {
        let validity = period(10, 20);
        assert!(validity.contains(UnixTime(10)) && validity.contains(UnixTime(20)));
        assert!(!validity.contains(UnixTime(9)) && !validity.contains(UnixTime(21)));
        assert_eq!(period(7, 7).seconds(), 1);
    }

    #[test]
    fn nothing_is_left_after_the_issuers_end_or_before_its_start() {
        assert_eq!(Validity::within(period(0, 100), UnixTime(200), 50, 10), Err(ValidityError::Empty));
        assert_eq!(Validity::new(UnixTime(2), UnixTime(1)), Err(ValidityError::Empty));
    }

    #[test]
    fn each_end_that_cannot_be_had_is_refused_with_the_one_that_can() {
        let ask = |not_before: Option<u64>, not_after: Option<u64>| {
            let requested = Requested { not_before: not_before.map(UnixTime), not_after: not_after.map(UnixTime) };
            Validity::requested(period(0, 10_000), UnixTime(5_000), 100, 1_000, requested)
        };
        assert_eq!(ask(Some(4_950), Some(5_500)), Ok(period(4_950, 5_500)));
        assert_eq!(ask(Some(4_899), None), Err(ValidityError::BeginsEarly(UnixTime(4_900))));
        assert_eq!(ask(Some(5_001), None), Err(ValidityError::BeginsLate(UnixTime(5_000))));
        assert_eq!(ask(None, Some(4_999)), Err(ValidityError::EndsEarly(UnixTime(5_000))));
        assert_eq!(ask(None, Some(5_900)), Err(ValidityError::EndsLate(UnixTime(5_899))));
        let sentence = ask(None, Some(5_900)).unwrap_err().to_string();
        assert_eq!(sentence, "a certificate with this beginning cannot end after 1970-01-01T01:38:19Z");
    }

    proptest! {
        #[test]
        fn a_period_lies_within_the_issuers_and_is_never_too_long(
            start in 0u64..4_000_000_000, length in 0u64..1_000_000_000,
            now in 0u64..5_000_000_000, backdate in 0u64..200_000, seconds in 1u64..400_000_000,
        ) {
            let issuer = period(start, start + length);
            let Ok(validity) = Validity::within(issuer, UnixTime(now), backdate, seconds) else {
                // Refused only when no second is left.
                prop_assert!(now.saturating_sub(backdate) > start + length);
                return Ok(());
            };
            prop_assert!(issuer.contains(validity.not_before()) && issuer.contains(validity.not_after()));
            prop_assert!(validity.seconds() <= seconds);
            prop_assert!(validity.not_before() >= UnixTime(now).minus(backdate));
            if now >= start + backdate && now - backdate + seconds - 1 <= start + length {
                prop_assert_eq!(validity.seconds(), seconds);
                prop_assert_eq!(validity.not_before(), UnixTime(now - backdate));
            }
        }

        #[test]
        fn what_is_requested_is_met_exactly_or_refused(
            start in 0u64..4_000_000_000, length in 0u64..1_000_000_000,
            now in 0u64..5_000_000_000, backdate in 0u64..200_000, seconds in 1u64..400_000_000,
            before in proptest::option::of(-300_000i64..300_000),
            after in proptest::option::of(-300_000i64..400_300_000),
        ) {
            let issuer = period(start, start + length);
            let at = |offset: Option<i64>| offset.map(|offset| UnixTime(now.saturating_add_signed(offset)));
            let requested = Requested { not_before: at(before), not_after: at(after) };
            let Ok(validity) = Validity::requested(issuer, UnixTime(now), backdate, seconds, requested) else {
                // Without a wish nothing is refused that the profile alone would give.
                prop_assert!(requested != Requested::default()
                    || Validity::within(issuer, UnixTime(now), backdate, seconds).is_err());
                return Ok(());
            };
            prop_assert!(requested.not_before.is_none_or(|time| time == validity.not_before()));
            prop_assert!(requested.not_after.is_none_or(|time| time == validity.not_after()));
            prop_assert!(issuer.contains(validity.not_before()) && issuer.contains(validity.not_after()));
            prop_assert!(validity.seconds() <= seconds);
            prop_assert!(validity.not_before() >= UnixTime(now).minus(backdate));
            prop_assert!(requested.not_before.is_none() || validity.not_before() <= UnixTime(now));
            prop_assert!(requested.not_after.is_none() || validity.not_after() >= UnixTime(now));
        }

        #[test]
        fn a_period_is_made_again_from_its_own_start(
            start in 0u64..4_000_000_000, length in 0u64..1_000_000_000,
            now in 0u64..5_000_000_000, backdate in 0u64..200_000, seconds in 1u64..400_000_000,
        ) {
            let issuer = period(start, start + length);
            if let Ok(validity) = Validity::within(issuer, UnixTime(now), backdate, seconds) {
                let again = Validity::within(issuer, validity.not_before().plus(backdate), backdate, seconds);
                prop_assert_eq!(again, Ok(validity));
            }
        }
    }
}
