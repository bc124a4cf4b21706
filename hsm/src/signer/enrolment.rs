//! An administrator's certificate, and his enrolment.

use std::sync::Arc;

use policy::csr::Csr;
use policy::evidence::AuthorizationRecord;
use policy::serial::Serial;
use policy::tbs::{self, Role, RoleCertificate, TbsError};

use super::answer::{Signer, journal, not_ours};
use super::issue::{NotIssued, check_clock, issuer};
use super::profiles::hexadecimal;
use super::server::Ticket;
use super::state::SealState;
use crate::ceremony::ADMINISTRATOR_SECONDS;
use crate::journal::{ADMINISTRATOR, Event};
use crate::wire::{EnrolmentRequest, Refusal, Response};

impl Signer {
    /// Signs, journals the certificate, and then the enrolment; the answer leaves when both are durable.
    /// A crash between the two leaves a certificate without any right.
    pub(super) fn enrol(self: &Arc<Self>, ticket: Ticket, request: EnrolmentRequest) {
        let (event, certificate, fingerprint) = match self.certify_administrator(&request) {
            Ok(certified) => certified,
            Err(why) => return self.not_issued(ticket, why),
        };
        let EnrolmentRequest { name, role, actor, .. } = request;
        {
            // The seal is closed under the same lock, so that nothing is signed after that entry.
            let state = self.state();
            if !matches!(*state, SealState::Unsealed(_)) {
                return ticket.answer(Err(Refusal::Sealed));
            }
            if let Err(error) = self.journal.append_and_wait(event, actor.who.clone(), actor.request_id.clone()) {
                return ticket.answer(Err(journal(error)));
            }
        }
        let enrolled = Event::AdministratorEnrolled { name, fingerprint, role };
        self.release(ticket, enrolled, actor, |seq| Response::Certificate { certificate, seq });
    }

    /// Nothing in the certificate is the caller's but the name and the key, whose holder proved to be
    /// one (J5). The event, the certificate in it, and its SHA-256.
    fn certify_administrator(&self, request: &EnrolmentRequest) -> Result<(Event, Vec<u8>, String), NotIssued> {
        let refused = |error: TbsError| Refusal::Policy(error.to_string());
        not_ours(&request.actor.who)?;
        if let Some(fault) = self.journal.fault() {
            return Err(Refusal::Journal(fault).into());
        }
        let now = self.clock.now();
        check_clock(now, self.journal.at())?;
        let csr = Csr::from_der(&request.csr).map_err(|error| Refusal::Policy(error.to_string()))?;
        let keys = self.keys()?;
        let (key, issuer) = issuer(&keys, &request.issuer)?;
        if key.authority.is_some() {
            return Err(Refusal::Policy("administrators are certified by the ceremony's own CA".to_owned()).into());
        }
        if keys.holds(csr.key()) || csr.key() == issuer.key() {
            return Err(Refusal::Policy("the key is one of this CA's own".to_owned()).into());
        }
        let what = RoleCertificate {
            role: Role::Administrator,
            common_name: &request.name,
            organization: None,
            names: &[],
            pki_url: None,
            seconds: ADMINISTRATOR_SECONDS,
        };
        let serial = Serial::generate(&mut **self.entropy()).map_err(|error| Refusal::Token(error.to_string()))?;
        let tbs = tbs::role(&what, issuer, csr.key(), serial, now).map_err(refused)?;
        let linted = tbs.lint(Some(issuer)).map_err(refused)?;
        let scheme = key.token.public.certificate_scheme();
        let signature = self.token.sign(&key.token, scheme, linted.tbs().as_bytes()).map_err(NotIssued::Token)?;
        let certificate = linted.assemble(&key.token.public, scheme, &signature).map_err(refused)?;
        let der = certificate.der().to_vec();
        let record = AuthorizationRecord {
            actor: request.actor.who.clone(),
            request_id: request.actor.request_id.clone(),
            ..AuthorizationRecord::default()
        };
        let event = Event::Certificate {
            certificate: der.clone(),
            profile: ADMINISTRATOR.to_owned(),
            profile_sha256: String::new(),
            issuer: request.issuer.clone(),
            record,
        };
        Ok((event, der, hexadecimal(&certificate.sha256())))
    }
}
