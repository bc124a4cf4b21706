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

/// No second lies in the period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the validity period would be empty: the issuer's certificate ends too early")]
pub struct ValidityError;

impl Validity {
    /// The period of `seconds` that starts `backdate` seconds before `now`, cut so that it lies
    /// within the issuer's. 90 days end at `not_before + 7_775_999`.
    pub fn within(issuer: Validity, now: UnixTime, backdate: u64, seconds: u64) -> Result<Self, ValidityError> {
        let not_before = now.minus(backdate).max(issuer.not_before);
        let not_after = not_before.plus(seconds.saturating_sub(1)).min(issuer.not_after);
        Self::new(not_before, not_after)
    }

    /// The period from `not_before` to `not_after`, both included.
    pub fn new(not_before: UnixTime, not_after: UnixTime) -> Result<Self, ValidityError> {
        if not_before <= not_after { Ok(Self { not_before, not_after }) } else { Err(ValidityError) }
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
        assert_eq!(Validity::within(period(0, 100), UnixTime(200), 50, 10), Err(ValidityError));
        assert_eq!(Validity::new(UnixTime(2), UnixTime(1)), Err(ValidityError));
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
