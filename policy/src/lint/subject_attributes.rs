//! The subject holds at most a common name and an organization, and a CA's where it is and its unit
//! besides, each once, UTF8String, of 1 to 64 characters; the country is two capital letters,
//! PrintableString (RFC 5280 section 4.1.2.4 and appendix A.1).
//!
//! Effective since May 2008.

use const_oid::db::rfc4519::{
    COMMON_NAME, COUNTRY_NAME, LOCALITY_NAME, ORGANIZATION_NAME, ORGANIZATIONAL_UNIT_NAME, ST,
};
use der::{Tag, Tagged};

use crate::{asn1, profile};

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "subject_attributes", rule: "RFC 5280 section 4.1.2.4", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let attributes: Vec<_> = subject.tbs.subject.iter().collect();
    ensure(
        subject.tbs.subject.iter_rdn().all(|rdn| rdn.len() == 1),
        "a relative distinguished name has not one attribute",
    )?;
    for (index, attribute) in attributes.iter().enumerate() {
        let oid = attribute.oid;
        let is_known = match oid {
            COMMON_NAME | ORGANIZATION_NAME => true,
            COUNTRY_NAME | ST | LOCALITY_NAME | ORGANIZATIONAL_UNIT_NAME => subject.is_ca(),
            _ => false,
        };
        ensure(is_known, format!("the subject has the attribute {oid}"))?;
        ensure(
            !attributes[..index].iter().any(|earlier| earlier.oid == oid),
            format!("the attribute {oid} stands twice"),
        )?;
        if oid == COUNTRY_NAME {
            let (tag, text) = (attribute.value.tag(), attribute.value.value());
            let is_country = tag == Tag::PrintableString && text.len() == 2 && text.iter().all(u8::is_ascii_uppercase);
            ensure(is_country, "the country is not two capital letters, PrintableString")?;
            continue;
        }
        ensure(attribute.value.tag() == Tag::Utf8String, format!("the attribute {oid} is not a UTF8String"))?;
        let is_sound = asn1::directory_string(&attribute.value).is_some_and(profile::is_common_name);
        ensure(is_sound, format!("the attribute {oid} does not have 1 to 64 printable characters"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;

    #[test]
    fn a_common_name_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_root_with_an_organization_passes() {
        fixture::root().passes(&LINT);
    }

    #[test]
    fn a_ca_says_where_it_is() {
        let subject = "C=DE,ST=Bayern,L=Fürth,O=Example,OU=Security,CN=Root";
        fixture::root().with(|tbs| tbs.subject = subject.parse().unwrap()).passes(&LINT);
        for (subject, fragment) in
            [("C=de,CN=a", "capital"), ("C=#0c024445,CN=a", "capital"), ("STREET=a,CN=a", "2.5.4.9")]
        {
            fixture::root().with(|tbs| tbs.subject = subject.parse().unwrap()).fails(&LINT, fragment);
        }
    }

    #[test]
    fn other_repeated_and_overlong_attributes_fail() {
        for (subject, fragment) in [
            ("C=DE,CN=a".to_owned(), "attribute 2.5.4.6"),
            ("CN=a,CN=b".to_owned(), "twice"),
            ("CN=a+O=b".to_owned(), "not one attribute"),
            (format!("CN={}", "a".repeat(65)), "1 to 64"),
            ("CN=#130161".to_owned(), "UTF8String"),
        ] {
            fixture::leaf().with(|tbs| tbs.subject = subject.parse().unwrap()).fails(&LINT, fragment);
        }
    }
}
