//! Basic constraints stand in CA certificates, critical, and nowhere else; who signs himself is a CA
//! (RFC 5280 section 4.2.1.9).
//!
//! Effective since May 2008.

use const_oid::AssociatedOid;
use x509_cert::ext::pkix::BasicConstraints;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "basic_constraints", rule: "RFC 5280 section 4.2.1.9", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(extension) = subject.tbs.extension(BasicConstraints::OID) else {
        return ensure(subject.issuer.is_some(), "a self-signed certificate has no basic constraints");
    };
    let Some(constraints) = subject.tbs.decode::<BasicConstraints>() else {
        return Err("the basic constraints do not decode".to_owned());
    };
    ensure(constraints.ca, "basic constraints stand in a certificate that is no CA's")?;
    ensure(extension.critical, "the basic constraints of a CA are not critical")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use crate::tbs::Role;

    #[test]
    fn a_leaf_without_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_ca_with_critical_constraints_passes() {
        fixture::root().passes(&LINT);
        fixture::role(Role::IssuingCa).passes(&LINT);
    }

    #[test]
    fn a_root_without_fails() {
        fixture::root().without::<BasicConstraints>().fails(&LINT, "self-signed");
    }

    #[test]
    fn constraints_that_may_be_ignored_fail() {
        fixture::root().with_extension::<BasicConstraints>(|e| e.critical = false).fails(&LINT, "not critical");
    }

    #[test]
    fn a_leaf_with_constraints_fails() {
        let constraints = BasicConstraints { ca: false, path_len_constraint: None };
        fixture::leaf().with_value(&constraints).fails(&LINT, "no CA's");
    }
}
