//! The issuing distribution point of a shard names it by URLs and says nothing else (RFC 5280 section
//! 5.2.5, BR 7.2.2.1).
//!
//! Effective since May 2008; BR since July 2023.

use const_oid::db::rfc5280::ID_CE_ISSUING_DISTRIBUTION_POINT;

use super::{Lint, Subject, ensure, is_url};
use crate::crl::read;

pub(super) const LINT: Lint = Lint { name: "distribution_point", rule: "RFC 5280 section 5.2.5", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    if !subject.has_oid(ID_CE_ISSUING_DISTRIBUTION_POINT) {
        return Ok(());
    }
    let point = subject.raw.distribution_point().ok_or("the issuing distribution point does not decode")?;
    let says_more = point.only_contains_user_certs
        || point.only_contains_ca_certs
        || point.only_contains_attribute_certs
        || point.only_some_reasons.is_some()
        || point.indirect_crl;
    ensure(!says_more, "the issuing distribution point limits the CRL to less than its shard")?;
    let urls = point.distribution_point.as_ref().and_then(read::urls).unwrap_or_default();
    ensure(!urls.is_empty(), "the issuing distribution point does not name the CRL by URLs")?;
    ensure(urls.iter().all(|url| is_url(url)), "a URL of the issuing distribution point is not plain HTTP")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn a_shard_and_a_complete_crl_pass() {
        fixture::shard().passes(&LINT);
        fixture::complete().passes(&LINT);
    }

    #[test]
    fn a_limit_that_is_not_ours_fails() {
        fixture::shard().with_point(|point| point.only_contains_ca_certs = true).fails(&LINT, "limits");
        fixture::shard().with_point(|point| point.indirect_crl = true).fails(&LINT, "limits");
    }

    #[test]
    fn a_point_without_a_name_or_behind_tls_fails() {
        fixture::shard().with_point(|point| point.distribution_point = None).fails(&LINT, "does not name");
        let secure = fixture::full_name("https://pki.example.test/1-of-16.crl");
        fixture::shard().with_point(|point| point.distribution_point = Some(secure)).fails(&LINT, "plain HTTP");
    }
}
