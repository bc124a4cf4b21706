//! Every answer is for a certificate of the issuer whose responder signs (RFC 6960 section 4.2.2.2).
//!
//! Effective since June 2013.

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "issuer", rule: "RFC 6960 section 4.2.2.2", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let ours = subject.data.responses.iter().all(|response| response.id.is_of(subject.issuer));
    ensure(ours, "an answer is for a certificate of another CA")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyAlgorithm;
    use crate::ocsp::lint::fixture;
    use crate::ocsp::{CertId, HashAlgorithm};
    use crate::testing::{Hierarchy, serial};

    #[test]
    fn both_ways_to_name_the_issuer_pass() {
        fixture::good().passes(&LINT);
        fixture::sha256().passes(&LINT);
    }

    #[test]
    fn another_cas_certificate_fails() {
        let other = Hierarchy::new(KeyAlgorithm::P256).issuing;
        let id = CertId::new(HashAlgorithm::Sha1, &other, serial(1));
        fixture::good().with_response(|one| one.id = id).fails(&LINT, "another CA");
    }
}
