//! Acts of `signetd`: what the journal says of them.

use policy::crl::Reason;
use policy::serial::Serial;

use crate::journal::Event;
use crate::wire::{Act, MAX_FAILURES, MAX_SERIALS, Refusal};

/// What the journal says of an act, if it can be one.
pub(super) fn event(act: Act, who: &str) -> Result<Event, Refusal> {
    let some = |serials: &[Serial]| match serials.len() {
        1..=MAX_SERIALS => Ok(()),
        many => Err(Refusal::Policy(format!("an act concerns 1 to {MAX_SERIALS} certificates, not {many}"))),
    };
    Ok(match act {
        Act::ActivateCa { issuer, forced, failures } => {
            if failures.len() > MAX_FAILURES || forced == failures.is_empty() {
                let why =
                    format!("a CA is forced to go active if something failed: 1 to {MAX_FAILURES} sentences, or none");
                return Err(Refusal::Policy(why));
            }
            Event::CaActivated { issuer, forced, failures }
        }
        Act::ApproveRequest { requester, .. } if requester == who => {
            return Err(Refusal::Policy("a request is approved by somebody else than the one who made it".to_owned()));
        }
        Act::ApproveRequest { request, digest, requester } => Event::RequestApproved { request, digest, requester },
        Act::BindAccount { account, key } => Event::AccountBound { account, key },
        Act::ChangeNotary { deed } => Event::NotaryChanged { deed },
        Act::CreateEabKey { key, grant } => Event::EabKeyCreated { key, grant },
        Act::CreateToken { token, grant } => Event::TokenCreated { token, grant },
        Act::DeleteNode { node } => Event::NodeDeleted { node },
        Act::EndAccount { account } => Event::AccountEnded { account },
        Act::Hold { serials, at } => {
            some(&serials)?;
            Event::Held { serials, at }
        }
        Act::Import { issuer, sha256, certificates } => {
            if sha256.len() != 64 || !sha256.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f')) {
                return Err(Refusal::Policy("an import is named by the SHA-256 of its file".to_owned()));
            }
            Event::Imported { issuer, sha256, certificates }
        }
        Act::IssueSeed { node, seed, expires } => Event::SeedIssued { node, seed, expires },
        Act::RegisterNode { registration } => Event::NodeRegistered { registration },
        Act::RejectRequest { request, digest, requester, why } => {
            Event::RequestRejected { request, digest, requester, why }
        }
        Act::Release { serials, at } => {
            some(&serials)?;
            Event::Released { serials, at }
        }
        Act::RemoveAdministrator { fingerprint } => Event::AdministratorRemoved { fingerprint },
        Act::Revoke { serials, reason, at, invalidity_date } => {
            some(&serials)?;
            match reason.map(Reason::try_from).transpose() {
                Err(error) => return Err(Refusal::Policy(error.to_string())),
                Ok(Some(Reason::CertificateHold)) => {
                    let why = "a hold can be taken back and a revocation cannot: put the certificate on hold instead";
                    return Err(Refusal::Policy(why.to_owned()));
                }
                Ok(_) => Event::Revoked { serials, reason, at, invalidity_date },
            }
        }
        Act::RevokeEabKey { key, accounts } => Event::EabKeyRevoked { key, accounts },
        Act::SetRole { fingerprint, role } => Event::AdministratorRoleSet { fingerprint, role },
        Act::SetToken { token, state } => Event::TokenSet { token, state },
        Act::UseSeed { node, seed } => Event::SeedUsed { node, seed },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_is_forced_exactly_when_something_failed_and_an_import_is_named_by_a_hash() {
        let activate = |forced, failures: usize| {
            let failures = vec!["CRL all at http://a.test/x.crl: 404".to_owned(); failures];
            event(Act::ActivateCa { issuer: "issuing-1".to_owned(), forced, failures }, "admin:x")
        };
        assert!(activate(false, 0).is_ok() && activate(true, MAX_FAILURES).is_ok());
        for (forced, failures) in [(true, 0), (false, 1), (true, MAX_FAILURES + 1)] {
            assert!(activate(forced, failures).is_err(), "{forced} {failures}");
        }
        let import = |sha256: &str| {
            event(Act::Import { issuer: "issuing-1".to_owned(), sha256: sha256.to_owned(), certificates: 1 }, "console")
        };
        assert!(import(&"0a".repeat(32)).is_ok());
        assert!(import(&"0A".repeat(32)).is_err() && import("0a").is_err());
    }
}
