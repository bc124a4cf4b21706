//! The key is not the issuer's: whoever holds a certificate for the CA's own key could use what the CA
//! signs as his own (BR 6.1.1.3, incident 36).
//!
//! Effective since 2012-07-01.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "key_differs_from_issuer", rule: "BR 6.1.1.3", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(issuer) = subject.issuer else { return Ok(()) };
    ensure(subject.key.as_ref() != Some(issuer.key()), "the key is the issuer's own")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;

    #[test]
    fn a_key_of_its_own_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn the_issuers_key_fails() {
        fixture::leaf_with_the_issuers_key().fails(&LINT, "issuer's own");
    }
}
