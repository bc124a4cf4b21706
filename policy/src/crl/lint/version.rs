//! It is a CRL of version 2, because it has extensions (RFC 5280 section 5.1.2.1).
//!
//! Effective since May 2008.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "version", rule: "RFC 5280 section 5.1.2.1", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let version = subject.raw.version.as_ref().map(|version| version.value());
    ensure(version == Some(&[1]) && subject.raw.extensions.is_some(), "it is no CRL of version 2 with extensions")
}

#[cfg(test)]
mod tests {
    use der::asn1::Any;

    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn version_2_passes() {
        fixture::complete().passes(&LINT);
    }

    #[test]
    fn version_1_3_and_a_list_without_extensions_fail() {
        fixture::complete().with(|raw| raw.version = None).fails(&LINT, "version 2");
        let three = Any::new(der::Tag::Integer, [2]).unwrap();
        fixture::complete().with(|raw| raw.version = Some(three)).fails(&LINT, "version 2");
        fixture::complete().with(|raw| raw.extensions = None).fails(&LINT, "version 2");
    }
}
