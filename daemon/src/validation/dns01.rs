//! dns-01 (RFC 8555 section 8.4) and dns-account-01 (draft-ietf-acme-dns-account-label-03).
//!
//! Both look for one TXT value; they differ in the label under which it stands. Aliases are
//! followed, and any one of several values may be the right one.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::evidence::Observation;
use policy::name::DnsName;

use super::failure::excerpts;
use super::resolver::{Answer, Trouble};
use super::{Failure, FailureKind, Retry, Shown, Validator, cut};

/// Version of dns-01 in every authorization (I2): changed whenever what it accepts changes.
pub(super) const DNS01: &str = "dns-01/1";

/// As [`DNS01`], for dns-account-01.
pub(super) const DNS_ACCOUNT01: &str = "dns-account-01/1";

/// The name that has the TXT record of dns-01.
pub(super) fn record(name: &DnsName) -> String {
    format!("_acme-challenge.{name}")
}

/// The name that has the TXT record of dns-account-01 (D-01): a label made from the account's URL, so
/// that several accounts can be delegated independently.
pub(super) fn account_record(name: &DnsName, account: &str) -> String {
    let hash = digest(&SHA256, account.as_bytes());
    format!("_{}._acme-challenge.{name}", base32(&hash.as_ref()[..10]))
}

/// Whether one of the TXT values at `record` is the digest of the key authorization. `whose` ends the
/// sentence of a failure: whom the record is for.
pub(super) async fn validate(
    validator: &Validator,
    version: &'static str,
    record: &str,
    key_authorization: &str,
    whose: &str,
) -> Result<Shown, Failure> {
    let expected = URL_SAFE_NO_PAD.encode(digest(&SHA256, key_authorization.as_bytes()));
    find(validator, version, record, &expected, whose).await
}

/// Whether one of the TXT values at `record` is `expected`.
pub(super) async fn find(
    validator: &Validator,
    version: &'static str,
    record: &str,
    expected: &str,
    whose: &str,
) -> Result<Shown, Failure> {
    let fail = |kind, detail: String| Err(Failure::new(kind, Retry::Yes, detail));
    let wanted = format!("expected \"{expected}\"{whose}");
    match validator.resolver.txt(record).await {
        Err(Trouble(why)) => {
            fail(FailureKind::Dns, format!("the TXT records of {record} could not be looked up: {why}"))
        }
        Ok(Answer::Nothing(why)) => fail(FailureKind::Dns, format!("{record} has no TXT record ({why}), {wanted}")),
        Ok(Answer::Records(found)) if found.values.iter().any(|value| value == expected.as_bytes()) => {
            let at = found.alias.as_deref().unwrap_or(record);
            let dns = Some(cut(&format!("TXT \"{expected}\" at {at}")));
            Ok(Shown { validator: version, seen: Observation { address: None, dns }, until: None })
        }
        Ok(Answer::Records(found)) => {
            let at = match &found.alias {
                Some(alias) => format!("{record} (an alias of {alias})"),
                None => record.to_owned(),
            };
            let values = excerpts(found.values.iter().map(Vec::as_slice));
            fail(FailureKind::IncorrectResponse, format!("{at} has the TXT records {values}; {wanted}"))
        }
    }
}

/// RFC 4648 section 6 in lower case; the input's length is a multiple of five octets, so there is no
/// padding.
fn base32(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::new();
    for five in octets.chunks_exact(5) {
        let bits = five.iter().fold(0u64, |bits, octet| bits << 8 | u64::from(*octet));
        let digits = (0..8).rev().map(|digit| ALPHABET[(bits >> (5 * digit) & 31) as usize]);
        text.extend(digits.map(char::from));
    }
    text
}

#[cfg(test)]
mod tests;
