//! The delta CRL of a complete one is named by plain HTTP URLs (RFC 5280 sections 5.2.6 and 8).
//!
//! Effective since May 2008.

use x509_cert::ext::pkix::crl::FreshestCrl;

use super::{Lint, Subject, ensure, is_url};
use crate::crl::read;

pub(super) const LINT: Lint = Lint { name: "freshest", rule: "RFC 5280 section 5.2.6", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    if !subject.has::<FreshestCrl>() {
        return Ok(());
    }
    let points = subject.raw.decode::<FreshestCrl>().ok_or("the place of the delta CRL does not decode")?.0;
    ensure(!points.is_empty(), "the list of places of the delta CRL is empty")?;
    points.iter().try_for_each(|point| {
        let urls = point.distribution_point.as_ref().and_then(read::urls).unwrap_or_default();
        ensure(
            !urls.is_empty()
                && urls.iter().all(|url| is_url(url))
                && point.crl_issuer.is_none()
                && point.reasons.is_none(),
            "the place of the delta CRL is not plain HTTP URLs and nothing else",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crl::lint::fixture;

    #[test]
    fn a_crl_with_a_delta_and_one_without_pass() {
        fixture::complete().passes(&LINT);
        fixture::complete().with_value(&fixture::freshest("http://pki.example.test/delta.crl")).passes(&LINT);
    }

    #[test]
    fn a_delta_behind_tls_or_nowhere_fails() {
        let secure = fixture::freshest("https://pki.example.test/delta.crl");
        fixture::complete().with_value(&secure).fails(&LINT, "plain HTTP");
        fixture::complete().with_value(&FreshestCrl(Vec::new())).fails(&LINT, "empty");
    }
}
