//! Acts of `signetd`: what the journal says of them.

use policy::crl::Reason;
use policy::serial::Serial;

use crate::journal::Event;
use crate::wire::{Act, MAX_SERIALS, Refusal};

/// What the journal says of an act, if it can be one.
pub(super) fn event(act: Act, who: &str) -> Result<Event, Refusal> {
    let some = |serials: &[Serial]| match serials.len() {
        1..=MAX_SERIALS => Ok(()),
        many => Err(Refusal::Policy(format!("an act concerns 1 to {MAX_SERIALS} certificates, not {many}"))),
    };
    Ok(match act {
        Act::ApproveRequest { requester, .. } if requester == who => {
            return Err(Refusal::Policy("a request is approved by somebody else than the one who made it".to_owned()));
        }
        Act::ApproveRequest { request, digest, requester } => Event::RequestApproved { request, digest, requester },
        Act::BindAccount { account, key } => Event::AccountBound { account, key },
        Act::CreateEabKey { key, grant } => Event::EabKeyCreated { key, grant },
        Act::CreateToken { token, grant } => Event::TokenCreated { token, grant },
        Act::EndAccount { account } => Event::AccountEnded { account },
        Act::Hold { serials, at } => {
            some(&serials)?;
            Event::Held { serials, at }
        }
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
    })
}
