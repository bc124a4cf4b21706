//! When a certificate should be renewed (RFC 9773).

use crate::effects::UnixTime;
use crate::validity::Validity;

/// The time in which a client should renew a certificate: it picks a moment between both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewalWindow {
    /// First second.
    pub opens: UnixTime,
    /// Last second, later than the first.
    pub closes: UnixTime,
}

/// The window of a certificate whose profile does not say: it opens with the last third of the
/// validity and closes in the middle of it, so that a client that fails has a sixth left.
pub fn default_renewal_window(validity: Validity) -> RenewalWindow {
    before_end(validity, validity.seconds() / 3, validity.seconds() / 6)
}

/// The window that opens and closes so many seconds before the end of the validity.
pub(super) fn before_end(validity: Validity, opens: u64, closes: u64) -> RenewalWindow {
    let (first, last) = (validity.not_before(), validity.not_after());
    // What was cut short by its issuer, or by request, may be shorter than the profile thinks.
    let opens = last.minus(opens).max(first);
    RenewalWindow { opens, closes: last.minus(closes).max(opens.plus(1)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_rule_the_window_is_the_first_half_of_the_last_third() {
        let validity = Validity::new(UnixTime(0), UnixTime(89_999)).unwrap();
        let window = default_renewal_window(validity);
        assert_eq!((window.opens, window.closes), (UnixTime(59_999), UnixTime(74_999)));
    }

    proptest! {
        #[test]
        fn a_window_ends_after_it_begins_and_begins_within_the_validity(
            first in 0u64..4_000_000_000, seconds in 0u64..400_000_000,
            opens in 0u64..400_000_000, closes in 0u64..400_000_000,
        ) {
            let validity = Validity::new(UnixTime(first), UnixTime(first + seconds)).unwrap();
            for window in [default_renewal_window(validity), before_end(validity, opens, closes)] {
                prop_assert!(window.closes > window.opens);
                prop_assert!(validity.contains(window.opens));
            }
        }
    }
}
