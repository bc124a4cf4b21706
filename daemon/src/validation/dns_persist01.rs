//! dns-persist-01 (draft-ietf-acme-dns-persist-00): a TXT record that stays, and names this CA and
//! the account.

use policy::effects::UnixTime;
use policy::evidence::Observation;
use policy::name::DnsName;

use super::failure::{excerpt, excerpts, printable};
use super::issue_value::{IssueValue, Malformed};
use super::resolver::{Answer, Trouble};
use super::{Attempt, Failure, FailureKind, Retry, Shown, Validator, Wildcard, cut};

/// Names this validator in every authorization (I2): changed whenever what it accepts changes.
pub(super) const VERSION: &str = "dns-persist-01/1";

/// Most domains above the name in which a record for all names below it is looked for.
const MAX_PARENTS: usize = 8;

/// What a record must say.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Issuer domain names of this CA, in lower case.
    pub identities: &'a [String],
    /// URL of the account.
    pub account: &'a str,
    /// Which names the record must speak for.
    pub scope: Scope,
    /// The time of the attempt.
    pub now: UnixTime,
}

/// Which names a record must speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The very name at which it stands.
    Name,
    /// Names below it, wildcards included: `policy=wildcard`.
    Below,
}

/// What one TXT record is to this CA and account.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It allows.
    Good,
    /// It is for this CA and breaks the rules for such records.
    Malformed(&'static str),
    /// It is for another CA: whatever it is, it is ignored.
    Other,
    /// It is for this CA and does not allow it.
    Refused(&'static str),
}

/// Judges one record (draft section 4; ).
pub fn judge(record: &[u8], wanted: &Wanted<'_>) -> Verdict {
    let value = match IssueValue::parse(record) {
        Ok(value) => value,
        // Whose it is can still be read off its beginning.
        Err(Malformed(why)) => {
            let issuer = record.split(|octet| *octet == b';').next().unwrap_or_default().trim_ascii();
            let ours = wanted.identities.iter().any(|identity| issuer.eq_ignore_ascii_case(identity.as_bytes()));
            return if ours { Verdict::Malformed(why) } else { Verdict::Other };
        }
    };
    if !wanted.identities.iter().any(|identity| Some(identity.as_str()) == value.issuer()) {
        return Verdict::Other;
    }
    let Some(account) = value.parameter("accounturi") else { return Verdict::Malformed("accounturi is missing") };
    let until = match value.parameter("persistuntil").map(seconds) {
        None => None,
        Some(Some(until)) => Some(until),
        Some(None) => return Verdict::Malformed("persistUntil is not a number of seconds since 1970"),
    };
    if account != wanted.account {
        return Verdict::Refused("is for another account");
    }
    if until.is_some_and(|until| wanted.now > until) {
        return Verdict::Refused("has expired (persistUntil)");
    }
    let is_wildcard = value.parameter("policy").is_some_and(|policy| policy.eq_ignore_ascii_case("wildcard"));
    if wanted.scope == Scope::Below && !is_wildcard {
        return Verdict::Refused("speaks for its own name only (policy=wildcard is missing)");
    }
    Verdict::Good
}

/// A base-10 integer; more than fits is a time that never comes.
fn seconds(text: &str) -> Option<UnixTime> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| UnixTime(text.parse().unwrap_or(u64::MAX)))
}

/// The name that has the record for `name`.
pub(super) fn record(name: &str) -> String {
    format!("_validation-persist.{name}")
}

/// One attempt: the record of the name itself, then those of the domains above it that speak for all
/// names below them (draft section 6), down to two labels.
pub(super) async fn validate(validator: &Validator, name: &DnsName, attempt: &Attempt<'_>) -> Result<Shown, Failure> {
    let identities = validator.config.caa_identities.as_slice();
    if identities.is_empty() {
        let detail = "dns-persist-01 is not possible here: this CA has no issuer domain name (caa_identities)";
        return Err(Failure::new(FailureKind::Unauthorized, Retry::No, detail));
    }
    let own = match attempt.wildcard {
        Wildcard::No => Scope::Name,
        Wildcard::Yes => Scope::Below,
    };
    let wanted = |scope| Wanted { identities, account: attempt.account, scope, now: attempt.now };
    let first = match look(validator, name.as_str(), &wanted(own)).await {
        Ok(shown) => return Ok(shown),
        Err(failure) => failure,
    };
    let mut parent = name.as_str();
    for _ in 0..MAX_PARENTS {
        match parent.split_once('.') {
            Some((_, above)) if above.contains('.') => parent = above,
            _ => break,
        }
        if let Ok(shown) = look(validator, parent, &wanted(Scope::Below)).await {
            return Ok(shown);
        }
    }
    Err(first)
}

async fn look(validator: &Validator, name: &str, wanted: &Wanted<'_>) -> Result<Shown, Failure> {
    let at = record(name);
    let fail = |kind, detail: String| Err(Failure::new(kind, Retry::Yes, detail));
    let policy = if wanted.scope == Scope::Below { "; policy=wildcard" } else { "" };
    let expected = format!(
        "expected \"{}; accounturi={}{policy}\"",
        wanted.identities.join(" or "),
        printable(wanted.account, 200)
    );
    let found = match validator.resolver.txt(&at).await {
        Err(Trouble(why)) => {
            return fail(FailureKind::Dns, format!("the TXT records of {at} could not be looked up: {why}"));
        }
        Ok(Answer::Nothing(why)) => {
            return fail(FailureKind::Dns, format!("{at} has no TXT record ({why}), {expected}"));
        }
        Ok(Answer::Records(found)) => found,
    };
    // Any one good record suffices; of the others the first that is for this CA is explained.
    let mut complaint = None;
    for value in &found.values {
        let (kind, why) = match judge(value, wanted) {
            Verdict::Good => {
                // The TTL limits how long the proof is good (draft section 7.8).
                let until = Some(wanted.now.plus(u64::from(found.ttl)));
                let dns = Some(cut(&format!("TXT {} at {at}", excerpt(value))));
                return Ok(Shown { validator: VERSION, seen: Observation { address: None, dns }, until });
            }
            Verdict::Malformed(why) => (FailureKind::Malformed, why),
            Verdict::Refused(why) => (FailureKind::Unauthorized, why),
            Verdict::Other => continue,
        };
        complaint
            .get_or_insert_with(|| (kind, format!("the TXT record {} at {at}: {why}; {expected}", excerpt(value))));
    }
    match complaint {
        Some((kind, detail)) => fail(kind, detail),
        None => {
            let values = excerpts(found.values.iter().map(Vec::as_slice));
            fail(FailureKind::Unauthorized, format!("{at} has the TXT records {values}, none for this CA; {expected}"))
        }
    }
}

#[cfg(test)]
mod tests;
