//! CRLs, OCSP and the issuer's certificate are fetched over plain HTTP: with HTTPS, checking a certificate
//! would need checking a certificate (RFC 5280 section 8, BR 7.1.2.11.2).
//!
//! Effective since May 2008.

use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{AuthorityInfoAccessSyntax, CrlDistributionPoints};

use super::{Lint, Subject, ensure};

pub(super) const LINT: Lint = Lint { name: "url_scheme", rule: "RFC 5280 section 8", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let points = subject.tbs.decode::<CrlDistributionPoints>().map(|points| points.0).unwrap_or_default();
    let mut places = Vec::new();
    for point in points {
        match point.distribution_point {
            Some(DistributionPointName::FullName(names)) => places.extend(names),
            _ => return Err("a CRL distribution point is not a URL".to_owned()),
        }
    }
    let access = subject.tbs.decode::<AuthorityInfoAccessSyntax>().map(|access| access.0).unwrap_or_default();
    places.extend(access.into_iter().map(|access| access.access_location));
    for place in places {
        let GeneralName::UniformResourceIdentifier(url) = place else {
            return Err("a place is not a URL".to_owned());
        };
        let rest = url.as_str().strip_prefix("http://");
        let is_sound = rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|octet| octet.is_ascii_graphic()));
        ensure(is_sound, format!("`{}` is not a plain HTTP URL", url.as_str().escape_debug()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use const_oid::db::rfc5280::ID_AD_CA_ISSUERS;
    use der::asn1::Ia5String;
    use x509_cert::ext::pkix::AccessDescription;
    use x509_cert::ext::pkix::crl::dp::DistributionPoint;

    #[test]
    fn plain_http_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn other_schemes_and_kinds_fail() {
        let url = |text: &str| GeneralName::UniformResourceIdentifier(Ia5String::new(text).unwrap());
        for place in [url("https://pki.example.test/a.cer"), url("ldap://pki.example.test/"), url("http://a b/")] {
            let access = AccessDescription { access_method: ID_AD_CA_ISSUERS, access_location: place };
            fixture::leaf().with_value(&AuthorityInfoAccessSyntax(vec![access])).fails(&LINT, "plain HTTP");
        }
        let names = vec![GeneralName::DnsName(Ia5String::new("pki.example.test").unwrap())];
        let point = DistributionPoint {
            distribution_point: Some(DistributionPointName::FullName(names)),
            reasons: None,
            crl_issuer: None,
        };
        fixture::leaf().with_value(&CrlDistributionPoints(vec![point])).fails(&LINT, "not a URL");
    }
}
