//! A CA below another limits its path length, to less than its issuer's; below path length 0 there is no
//! CA (RFC 5280 section 4.2.1.9).
//!
//! Effective since May 2008.

use x509_cert::ext::pkix::BasicConstraints;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "path_length", rule: "RFC 5280 section 4.2.1.9", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let (Some(issuer), true) = (subject.issuer, subject.is_ca()) else { return Ok(()) };
    let length = subject.tbs.decode::<BasicConstraints>().and_then(|constraints| constraints.path_len_constraint);
    let Some(length) = length else { return Err("a CA below another has no path length".to_owned()) };
    ensure(
        issuer.path_length().is_none_or(|limit| length < limit),
        format!("a path length of {length} is too long below this issuer"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use crate::tbs::Role;

    #[test]
    fn an_issuing_ca_with_path_length_0_passes() {
        fixture::role(Role::IssuingCa).passes(&LINT);
    }

    #[test]
    fn an_issuing_ca_without_fails() {
        let constraints = BasicConstraints { ca: true, path_len_constraint: None };
        fixture::role(Role::IssuingCa).with_value(&constraints).fails(&LINT, "no path length");
    }

    #[test]
    fn a_ca_below_an_issuing_ca_fails() {
        let constraints = BasicConstraints { ca: true, path_len_constraint: Some(0) };
        fixture::leaf().with_value(&constraints).fails(&LINT, "too long");
    }
}
