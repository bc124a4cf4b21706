//! The responder names itself by the key that signs (RFC 6960 section 4.2.2.3).
//!
//! Effective since June 2013.

use super::{Lint, Subject, ensure};
use crate::ocsp::responder_id;

pub(super) const LINT: Lint = Lint { name: "responder", rule: "RFC 6960 section 4.2.2.3", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    ensure(
        subject.data.responder == responder_id(subject.key),
        "the responder's key hash is not that of the key that signs",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocsp::lint::fixture;

    #[test]
    fn the_keys_own_hash_passes() {
        fixture::good().passes(&LINT);
    }

    #[test]
    fn another_hash_fails() {
        fixture::good().with(|data| data.responder[0] ^= 1).fails(&LINT, "key hash");
    }
}
