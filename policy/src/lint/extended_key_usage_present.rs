//! Who is no CA has an extended key usage; without one a key may do everything (BR 7.1.2.7.10).
//!
//! Effective since 2023-09-15 (ballot SC-062).

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "extended_key_usage_present", rule: "BR 7.1.2.7.10", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    ensure(subject.is_ca() || !subject.purposes().is_empty(), "there is no extended key usage")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use x509_cert::ext::pkix::ExtendedKeyUsage;

    #[test]
    fn a_leaf_with_one_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_root_without_passes() {
        fixture::root().passes(&LINT);
    }

    #[test]
    fn a_leaf_without_fails() {
        fixture::leaf().without::<ExtendedKeyUsage>().fails(&LINT, "no extended key usage");
    }
}
