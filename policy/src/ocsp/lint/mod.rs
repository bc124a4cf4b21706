//! Lints over OCSP answers before they are signed: one file a lint, each citing its rule. What is not
//! in the one encoding that Signet writes does not come this far.

mod archive_cutoff;
mod extended_revoke;
#[cfg(test)]
mod fixture;
mod issuer;
mod reason;
mod responder;
mod responses;
mod revocation_past;
mod serial;
mod times;

use super::{OcspError, ResponseData};
use crate::key::PublicKey;
use crate::lint::Finding;
use crate::tbs::Issuer;

/// Reads a ResponseData, DER, with every lint. `key` is the responder's, `issuer` the CA whose
/// certificates it answers for. Whether the times are now the caller judges.
pub fn check(der: &[u8], issuer: &Issuer, key: &PublicKey) -> Result<ResponseData, OcspError> {
    let data = ResponseData::from_der(der)?;
    let subject = Subject { data: &data, issuer, key };
    let finding = |lint: &Lint| {
        let detail = (lint.check)(&subject).err()?;
        Some(Finding { lint: lint.name, rule: lint.rule, detail })
    };
    let findings: Vec<Finding> = LINTS.iter().filter_map(finding).collect();
    if findings.is_empty() { Ok(data) } else { Err(OcspError::Lint(findings)) }
}

/// A lint: its name, the rule it enforces, and the check, whose error says what is wrong.
struct Lint {
    name: &'static str,
    rule: &'static str,
    check: fn(&Subject<'_>) -> Result<(), String>,
}

/// What a lint reads.
struct Subject<'a> {
    data: &'a ResponseData,
    issuer: &'a Issuer,
    key: &'a PublicKey,
}

/// `Ok` if it holds, or else the detail.
fn ensure(holds: bool, detail: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(detail.into()) }
}

/// Every lint, by name.
const LINTS: &[Lint] = &[
    archive_cutoff::LINT,
    extended_revoke::LINT,
    issuer::LINT,
    reason::LINT,
    responder::LINT,
    responses::LINT,
    revocation_past::LINT,
    serial::LINT,
    times::LINT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_each_lint_once_in_order() {
        assert!(LINTS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
