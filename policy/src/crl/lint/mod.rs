//! Lints over CRLs before they are signed: one file a lint, each citing its rule. Those of entries run
//! while the entries pass by, the others when the list is known to its end.

mod algorithm;
mod authority_key_identifier;
mod delta_indicator;
mod der_canonical;
mod distribution_point;
mod entry_date;
mod entry_date_past;
mod entry_extensions;
mod entry_invalidity_date;
mod entry_order;
mod entry_reason;
mod entry_serial;
mod extensions_known;
#[cfg(test)]
mod fixture;
mod freshest;
mod issuer_name;
mod list_not_empty;
mod number;
mod removals;
mod times_encoding;
mod times_order;
mod version;

use std::io::BufRead;

use const_oid::{AssociatedOid, ObjectIdentifier};

use super::raw_entry::RawEntry;
use super::read::{self, Facts, Raw, Source};
use super::{CrlError, Scope, unusable};
use crate::asn1;
use crate::effects::UnixTime;
use crate::lint::Finding;
use crate::serial::Serial;
use crate::tbs::Issuer;

/// Reads a TBSCertList, DER, to its end with every lint, and demands that it lists certificates of
/// `scope` only. What it says of numbers, times and URLs the caller judges.
pub fn check(input: impl BufRead, issuer: &Issuer, scope: Scope) -> Result<Facts, CrlError> {
    let mut this_update = None;
    let mut input = Source::new(input);
    let raw = read::read(&mut input, &mut |raw, entry, previous| {
        if previous.is_none() {
            this_update = asn1::read_time(&raw.this_update);
        }
        let subject = EntrySubject { entry, date: entry.date.read(), previous, this_update };
        for lint in ENTRY_LINTS {
            if let Err(detail) = (lint.check)(&subject) {
                // One is enough: a million entries may all break the same rule.
                return Err(CrlError::Lint(vec![Finding { lint: lint.name, rule: lint.rule, detail }]));
            }
        }
        match Serial::from_slice(entry.serial) {
            Ok(serial) if scope.holds(serial) => Ok(()),
            Ok(serial) => Err(unusable(format!("it lists {serial}, which is not in {scope}"))),
            Err(error) => Err(unusable(error.to_string())),
        }
    })?;
    if !input.is_at_end()? {
        return Err(unusable("it goes on behind its end"));
    }
    let subject = Subject { raw: &raw, issuer };
    let finding = |lint: &Lint| {
        let detail = (lint.check)(&subject).err()?;
        Some(Finding { lint: lint.name, rule: lint.rule, detail })
    };
    let findings: Vec<Finding> = LINTS.iter().filter_map(finding).collect();
    if !findings.is_empty() {
        return Err(CrlError::Lint(findings));
    }
    let facts = raw.facts()?;
    if facts.urls.is_empty() != (scope == Scope::All) {
        return Err(unusable(format!("its issuing distribution point is not that of {scope}")));
    }
    Ok(facts)
}

/// A lint: its name, the rule it enforces, and the check, whose error says what is wrong.
struct Lint {
    name: &'static str,
    rule: &'static str,
    check: fn(&Subject<'_>) -> Result<(), String>,
}

/// A lint of one entry.
struct EntryLint {
    name: &'static str,
    rule: &'static str,
    check: fn(&EntrySubject<'_>) -> Result<(), String>,
}

/// What a lint reads: everything but the entries, and who is to sign.
struct Subject<'a> {
    raw: &'a Raw,
    issuer: &'a Issuer,
}

/// What the lint of an entry reads.
struct EntrySubject<'a> {
    entry: &'a RawEntry<'a>,
    /// When it was revoked, if that can be read.
    date: Option<UnixTime>,
    /// The serial number before it.
    previous: Option<&'a [u8]>,
    /// When the CRL was made, if that can be read.
    this_update: Option<UnixTime>,
}

impl Subject<'_> {
    fn has<T: AssociatedOid>(&self) -> bool {
        self.has_oid(T::OID)
    }

    fn has_oid(&self, oid: ObjectIdentifier) -> bool {
        self.raw.extensions().iter().any(|extension| extension.extn_id == oid)
    }
}

/// `Ok` if it holds, or else the detail.
fn ensure(holds: bool, detail: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(detail.into()) }
}

/// RFC 5280 section 8: with https, fetching the proof of revocation needs what it proves.
fn is_url(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    url.len() <= 255 && url.bytes().all(|byte| byte.is_ascii_graphic()) && host.is_some_and(|host| !host.is_empty())
}

/// Every lint of a whole CRL, by name.
const LINTS: &[Lint] = &[
    algorithm::LINT,
    authority_key_identifier::LINT,
    delta_indicator::LINT,
    der_canonical::LINT,
    distribution_point::LINT,
    extensions_known::LINT,
    freshest::LINT,
    issuer_name::LINT,
    list_not_empty::LINT,
    number::LINT,
    removals::LINT,
    times_encoding::LINT,
    times_order::LINT,
    version::LINT,
];

/// Every lint of an entry, by name.
const ENTRY_LINTS: &[EntryLint] = &[
    entry_date::LINT,
    entry_date_past::LINT,
    entry_extensions::LINT,
    entry_invalidity_date::LINT,
    entry_order::LINT,
    entry_reason::LINT,
    entry_serial::LINT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_each_lint_once_in_order() {
        assert!(LINTS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(ENTRY_LINTS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
