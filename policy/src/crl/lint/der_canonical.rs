//! The extensions are DER: written again they are the same octets (RFC 5280 section 4.1.1, X.690
//! section 11).
//!
//! Effective since May 2008.

use der::{Decode, Encode};
use x509_cert::ext::Extension;

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "der_canonical", rule: "RFC 5280 section 4.1.1", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let Some(list) = &subject.raw.extensions else { return Ok(()) };
    let again = Vec::<Extension>::from_der(list.value()).and_then(|extensions| extensions.to_der());
    ensure(again.is_ok_and(|again| again == list.value()), "the extensions are not in their DER encoding")
}

#[cfg(test)]
mod tests {
    use der::asn1::Any;

    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn what_the_writer_writes_passes() {
        fixture::complete().passes(&LINT);
        fixture::shard().passes(&LINT);
    }

    #[test]
    fn an_explicit_default_or_other_octets_fail() {
        // critical FALSE, which DER leaves out.
        let explicit = [0x30, 0x0c, 0x30, 0x0a, 6, 3, 0x55, 0x1d, 20, 1, 1, 0, 4, 0];
        for octets in [&explicit[..], &[0x30, 1, 0], &[]] {
            let list = Any::new(fixture::extensions_tag(), octets).unwrap();
            fixture::complete().with(|raw| raw.extensions = Some(list)).fails(&LINT, "DER");
        }
    }
}
