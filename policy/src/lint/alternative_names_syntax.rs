//! Subject alternative names are DNS names in preferred syntax, lower case and A-labels, or IP addresses of
//! 4 or 16 octets (RFC 5280 section 4.2.1.6).
//!
//! Effective since May 2008.

use x509_cert::ext::pkix::name::GeneralName;

use crate::asn1;

use super::{Lint, Subject};

pub(super) const LINT: Lint = Lint { name: "alternative_names_syntax", rule: "RFC 5280 section 4.2.1.6", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    for name in subject.alternative_names() {
        if asn1::subject_alternative_name(&name).is_none() {
            return Err(format!(
                "a subject alternative name is neither a sound DNS name nor an IP address: {}",
                show(&name)
            ));
        }
    }
    Ok(())
}

fn show(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(text) => format!("`{}`", text.as_str().escape_debug()),
        _ => "a name of another kind".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use der::asn1::{Ia5String, OctetString};
    use x509_cert::ext::pkix::SubjectAltName;

    #[test]
    fn dns_names_and_addresses_pass() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn names_with_a_syntax_error_and_of_other_kinds_fail() {
        let text = |text: &str| Ia5String::new(text).unwrap();
        for name in [
            GeneralName::DnsName(text("A.example.test")),
            GeneralName::DnsName(text("a_b.example.test")),
            GeneralName::DnsName(text("10.0.0.1")),
            GeneralName::IpAddress(OctetString::new([10, 0, 0]).unwrap()),
            GeneralName::Rfc822Name(text("jane@example.test")),
        ] {
            fixture::leaf().with_value(&SubjectAltName(vec![name])).fails(&LINT, "neither");
        }
    }
}
