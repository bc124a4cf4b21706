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
