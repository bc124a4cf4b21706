//! No subject alternative name stands twice: the set of names is the set that was proved (I1).
//!
//! Effective with the first release.

use der::Encode;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "alternative_names_distinct", rule: "invariant I1", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let names = subject.alternative_names();
    // Sorted by encoding, because a hostile list may be long.
    let mut encoded: Vec<_> = names.iter().map(|name| name.to_der().unwrap_or_default()).collect();
    encoded.sort();
    ensure(encoded.windows(2).all(|pair| pair[0] != pair[1]), "a subject alternative name stands twice")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::asn1::Ia5String;
    use x509_cert::ext::pkix::SubjectAltName;
    use x509_cert::ext::pkix::name::GeneralName;

    #[test]
    fn different_names_pass() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_repeated_name_fails() {
        let name = GeneralName::DnsName(Ia5String::new("a.example.test").unwrap());
        fixture::leaf().with_value(&SubjectAltName(vec![name.clone(), name])).fails(&LINT, "twice");
    }
}
