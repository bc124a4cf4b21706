//! Servers, and subjects without a distinguished name, have a subject alternative name (RFC 5280 section
//! 4.2.1.6, RFC 9525 section 2); a CA has a distinguished name.
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "alternative_names_present", rule: "RFC 5280 section 4.2.1.6", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let (has_subject, has_names) = (!subject.tbs.subject.is_empty(), !subject.alternative_names().is_empty());
    ensure(has_subject || !subject.is_ca(), "a CA has an empty subject")?;
    ensure(has_subject || has_names, "there is neither a subject nor a subject alternative name")?;
    ensure(has_names || !subject.is_server(), "a server's certificate has no subject alternative name")
}

#[cfg(test)]
mod tests {
    use x509_cert::ext::pkix::SubjectAltName;

    use super::*;
    use crate::lint::fixture;
    use crate::tbs::Role;

    #[test]
    fn a_server_with_names_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn an_administrator_with_a_subject_passes() {
        fixture::role(Role::Administrator).passes(&LINT);
    }

    #[test]
    fn a_server_without_names_fails() {
        fixture::leaf().without::<SubjectAltName>().fails(&LINT, "server's certificate");
    }

    #[test]
    fn a_subject_without_any_name_fails() {
        fixture::role(Role::Administrator).with(|tbs| tbs.subject = Default::default()).fails(&LINT, "neither");
    }

    #[test]
    fn a_ca_without_subject_fails() {
        fixture::root().with(|tbs| tbs.subject = Default::default()).fails(&LINT, "a CA");
    }
}
