//! The identifiers of newOrder and newAuthz (RFC 8555 section 7.1.3, RFC 8738): which can be
//! ordered, and by which challenges control of each can be shown.

use std::collections::HashSet;

use policy::evidence::Method;
use policy::name::{DnsName, Name};
use policy::profile::Profile;

use super::Acme;
use super::error::{AcmeError, Rejected, Rejection};

/// Most names of an order: what fits a certificate that every client can handle.
pub const MAX_NAMES: usize = 100;

/// An identifier as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// Its type.
    pub kind: String,
    /// Its value.
    pub value: String,
}

/// The type and the value of a name as an identifier.
pub fn identifier(name: &Name) -> (&'static str, String) {
    let kind = match name {
        Name::Dns(_) => "dns",
        Name::Ip(_) => "ip",
    };
    (kind, name.to_string())
}

impl Acme {
    /// The names, if each can be ordered. Each one that cannot has its own reason.
    pub(super) fn orderable(&self, identifiers: &[Identifier], profile: &Profile) -> Result<Vec<Name>, AcmeError> {
        if identifiers.is_empty() {
            return Err(AcmeError::Malformed("the order has no identifiers".into()));
        }
        if identifiers.len() > MAX_NAMES {
            return Err(AcmeError::Malformed(format!("the order has more than {MAX_NAMES} identifiers")));
        }
        let mut seen = HashSet::new();
        let mut names = Vec::with_capacity(identifiers.len());
        let mut rejected = Vec::new();
        for sent in identifiers {
            match self.allowed(sent, profile) {
                // Returned once it would differ from what was sent, which clients refuse (7.1.3).
                Ok(name) if !seen.insert(name.clone()) => {
                    let detail = format!("{name} stands twice in the order: send it once");
                    rejected.push(sent.rejected(Rejection::Malformed, detail));
                }
                Ok(name) => names.push(name),
                Err(one) => rejected.push(one),
            }
        }
        if rejected.is_empty() { Ok(names) } else { Err(AcmeError::RejectedIdentifiers(rejected)) }
    }

    /// The challenges by which control of `name` can be shown for this profile.
    pub(super) fn challenges(&self, name: &Name, profile: &Profile) -> Vec<Method> {
        let offered = self.services.acme.orders.challenges.iter().copied();
        offered.filter(|method| profile.allows_method(name, *method).is_ok()).collect()
    }

    /// The name, if a certificate for it can come of an order: before any work is spent on it.
    fn allowed(&self, sent: &Identifier, profile: &Profile) -> Result<Name, Rejected> {
        let name = sent.name()?;
        profile.allows_name(&name).map_err(|refusal| sent.rejected(Rejection::Rejected, refusal.why))?;
        if self.challenges(&name, profile).is_empty() {
            let offered: Vec<_> = self.services.acme.orders.challenges.iter().map(|method| method.as_str()).collect();
            let kind = match &name {
                name if name.is_wildcard() => "a wildcard",
                Name::Dns(_) => "a DNS name",
                Name::Ip(_) => "an IP address",
            };
            let detail = format!(
                "no challenge that this server offers ({}) can show control of {kind} for the profile `{}`",
                offered.join(", "),
                profile.name()
            );
            return Err(sent.rejected(Rejection::Rejected, detail));
        }
        Ok(name)
    }
}

impl Identifier {
    /// The name that it is, in its one canonical form: what is sent is never altered.
    pub(crate) fn name(&self) -> Result<Name, Rejected> {
        let parsed = match self.kind.as_str() {
            "dns" => DnsName::parse(&self.value).map(Name::Dns),
            "ip" => match Name::parse(&self.value) {
                Ok(name @ Name::Ip(_)) => Ok(name),
                _ => {
                    let detail = "write the address in its canonical form (RFC 5952), without prefix or zone";
                    return Err(self.rejected(Rejection::Malformed, detail.into()));
                }
            },
            _ => {
                let detail = "only identifiers of the types dns and ip are supported";
                return Err(self.rejected(Rejection::Unsupported, detail.into()));
            }
        };
        parsed.map_err(|error| self.rejected(Rejection::Malformed, error.to_string()))
    }

    pub(super) fn rejected(&self, why: Rejection, detail: String) -> Rejected {
        Rejected { kind: cut(&self.kind, 32), value: cut(&self.value, 256), why, detail }
    }
}

/// The beginning of a foreign text, to be shown back.
pub(super) fn cut(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}
