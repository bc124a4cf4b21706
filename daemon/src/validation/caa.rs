//! CAA (RFC 8659) with its ACME parameters (RFC 8657).
//!
//! [`judge`] is the whole decision: records in, verdict out. The network part climbs the tree and
//! hands the first non-empty record set to it.

use policy::evidence::{CaaCheck, Method};
use policy::name::DnsName;

use super::failure::{excerpt, printable};
use super::issue_value::{IssueValue, Malformed};
use super::resolver::{Answer, Records, Resolver, Trouble};
use super::{CaaQuestion, Failure, FailureKind, Retry, Wildcard, cut};

/// One CAA record, RFC 8659 section 4.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaRecord {
    /// Issuer Critical Flag.
    pub critical: bool,
    /// The property's tag, as it was written.
    pub tag: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// Who asks to issue, and how control was shown.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// Issuer domain names of this CA, in lower case.
    pub identities: &'a [String],
    /// Whether it is for a wildcard.
    pub wildcard: Wildcard,
    /// URL of the account.
    pub account: &'a str,
    /// How control was shown.
    pub method: Method,
}

/// What a record set says.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// This record allows it; `None` if no record restricts it.
    Allowed(Option<&'a CaaRecord>),
    /// It is forbidden; half a sentence says by what.
    Forbidden(String),
}

/// Properties whose meaning is known; any other forbids when it is critical (RFC 8659 section 4.1).
const KNOWN: [&str; 3] = ["issue", "issuewild", "iodef"];

/// Decides by the relevant record set (RFC 8659 sections 4.2 and 4.3, RFC 8657 sections 3 and 4).
pub fn judge<'a>(records: &'a [CaaRecord], asker: &Asker<'_>) -> Verdict<'a> {
    let has_tag = |record: &CaaRecord, tag: &str| record.tag.eq_ignore_ascii_case(tag);
    let is_unknown = |record: &&CaaRecord| record.critical && !KNOWN.iter().any(|known| has_tag(record, known));
    if let Some(record) = records.iter().find(is_unknown) {
        return Verdict::Forbidden(format!("{} is critical and not known here", text(record)));
    }
    let having = |tag| records.iter().filter(|record| has_tag(record, tag)).collect::<Vec<_>>();
    let mut restrictions = match asker.wildcard {
        Wildcard::No => Vec::new(),
        Wildcard::Yes => having("issuewild"),
    };
    if restrictions.is_empty() {
        restrictions = having("issue");
    }
    if restrictions.is_empty() {
        return Verdict::Allowed(None);
    }
    let mut reasons = Vec::new();
    for record in restrictions {
        match allows(record, asker) {
            Ok(()) => return Verdict::Allowed(Some(record)),
            Err(why) => reasons.push(format!("{} {why}", text(record))),
        }
    }
    Verdict::Forbidden(reasons.join("; "))
}

/// Whether one `issue` or `issuewild` record allows it.
fn allows(record: &CaaRecord, asker: &Asker<'_>) -> Result<(), String> {
    let value = IssueValue::parse(&record.value).map_err(|Malformed(why)| format!("is malformed: {why}"))?;
    let issuer = value.issuer().ok_or("names no issuer")?;
    if !asker.identities.iter().any(|identity| identity == issuer) {
        return Err("names another issuer".to_owned());
    }
    if value.parameter("accounturi").is_some_and(|account| account != asker.account) {
        return Err(format!("names another account than {}", printable(asker.account, 200)));
    }
    if let Some(methods) = value.parameter("validationmethods") {
        // RFC 8657 section 4: a list of labels; what is not one authorizes nothing.
        let is_label = |method: &str| {
            !method.is_empty()
                && method.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
                && !method.starts_with('-')
                && !method.ends_with('-')
        };
        if !methods.split(',').all(is_label) {
            return Err("has a malformed list of methods".to_owned());
        }
        if !methods.split(',').any(|method| method == asker.method.as_str()) {
            return Err(format!("does not list the method {}", asker.method.as_str()));
        }
    }
    Ok(())
}

/// Climbs from the name to the top-level domain (RFC 8659 section 3) and judges the first record set
/// that is not empty.
pub(super) async fn check(
    resolver: &Resolver,
    identities: &[String],
    question: &CaaQuestion<'_>,
) -> Result<CaaCheck, Failure> {
    let CaaQuestion { name, wildcard, method, account, now } = *question;
    let base = name.base();
    let shown = match wildcard {
        Wildcard::No => base.to_string(),
        Wildcard::Yes => format!("*.{base}"),
    };
    let fail = |retry, detail: String| Err(Failure::new(FailureKind::Caa, retry, detail));
    let (owner, found) = match relevant(resolver, &base).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            let found = cut(&format!("no CAA records for {shown}"));
            return Ok(CaaCheck { at: now, found });
        }
        Err((owner, Trouble(why))) => {
            return fail(
                Retry::Yes,
                format!("the CAA records of {owner}, needed for {shown}, could not be looked up: {why}"),
            );
        }
    };
    let records = &found.values;
    let owner = match &found.alias {
        Some(alias) => format!("{owner} (an alias of {alias})"),
        None => owner,
    };
    match judge(records, &Asker { identities, wildcard, account, method }) {
        Verdict::Allowed(Some(record)) => Ok(CaaCheck { at: now, found: cut(&format!("{}: {owner}", text(record))) }),
        Verdict::Allowed(None) => Ok(CaaCheck { at: now, found: cut(&format!("CAA without restriction: {owner}")) }),
        Verdict::Forbidden(why) => {
            let who = match identities {
                [] => "this CA has no issuer domain name (caa_identities)".to_owned(),
                names => format!("expected a record that names {}", names.join(" or ")),
            };
            fail(
                Retry::No,
                format!("the CAA records of {owner} do not allow this CA to issue for {shown}: {why}; {who}"),
            )
        }
    }
}

/// The first record set that is not empty, and the name that has it.
async fn relevant(
    resolver: &Resolver,
    name: &DnsName,
) -> Result<Option<(String, Records<CaaRecord>)>, (String, Trouble)> {
    let mut rest = Some(name.as_str());
    while let Some(owner) = rest {
        match resolver.caa(owner).await {
            Ok(Answer::Records(records)) => return Ok(Some((owner.to_owned(), records))),
            Ok(Answer::Nothing(_)) => rest = owner.split_once('.').map(|(_, parent)| parent),
            Err(trouble) => return Err((owner.to_owned(), trouble)),
        }
    }
    Ok(None)
}

/// As in a zone file.
fn text(record: &CaaRecord) -> String {
    format!("CAA {} {} {}", u8::from(record.critical) * 128, printable(&record.tag, 15), excerpt(&record.value))
}

#[cfg(test)]
mod tests;
