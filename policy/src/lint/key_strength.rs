//! The key is of a known kind and shows no weakness (BR 6.1.1.3 and 6.1.5).
//!
//! Effective since 2012-07-01 (ROCA and close primes: 2024-11-15, ballot SC-073).

use crate::tbs;

use super::{Lint, Subject};

pub(super) const LINT: Lint = Lint { name: "key_strength", rule: "BR 6.1.1.3", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    tbs::subject_key(subject.tbs).map(|_| ()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use der::Tag;
    use der::asn1::Any;

    use super::*;
    use crate::asn1::RawTbs;
    use crate::lint::fixture;

    #[test]
    fn a_sound_key_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_point_off_its_curve_fails() {
        let spoil = |tbs: &mut RawTbs| {
            let mut content = tbs.key.value().to_vec();
            *content.last_mut().unwrap() ^= 1;
            tbs.key = Any::new(Tag::Sequence, content).unwrap();
        };
        fixture::leaf().with(spoil).fails(&LINT, "not on its curve");
    }
}
