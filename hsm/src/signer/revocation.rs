//! How the signer answers what it is asked about revocation.

use std::sync::PoisonError;

use super::answer::{Job, Signer, Work, not_ours};
use super::crl::{Press, SignedCrl};
use super::issue::NotIssued;
use super::ocsp::{self, Batch, Step};
use super::server::Ticket;
use crate::wire::{Actor, CrlRequest, OcspRequest, Refusal, Response, SealedPaper};

impl Signer {
    pub(super) fn crl(&self, ticket: Ticket, request: &CrlRequest, paper: Option<SealedPaper>) {
        let Some(paper) = paper else {
            let why = "a CRL comes as a memfd that is sealed against every change".to_owned();
            return ticket.answer(Err(Refusal::Forbidden(why)));
        };
        match self.print(request, &paper) {
            Ok(SignedCrl { event, signature }) => {
                self.release(ticket, event, request.actor.clone(), |seq| Response::Crl { signature, seq });
            }
            Err(why) => self.not_issued(ticket, why),
        }
    }

    fn print(&self, request: &CrlRequest, paper: &SealedPaper) -> Result<SignedCrl, NotIssued> {
        not_ours(&request.actor.who)?;
        let keys = self.keys()?;
        let (profiles, bounds, now) = (self.profiles(), self.bounds, self.clock.now());
        let press = Press { token: &self.token, keys: &keys, profiles: &profiles, bounds, now };
        press.sign(request, paper, |take| take(&mut self.crl_numbers.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Judges a batch, and makes its first step.
    pub(super) fn ocsp(&self, ticket: Ticket, request: OcspRequest) -> Option<Job> {
        let judged = not_ours(&request.actor.who)
            .and_then(|()| Batch::new(request, &*self.keys()?, self.bounds, self.clock.now()));
        match judged {
            Ok(batch) => self.step(ticket, batch),
            Err(refusal) => {
                ticket.answer(Err(refusal));
                None
            }
        }
    }

    /// Signs one answer of a batch; what is left of it waits in the lane, behind others.
    pub(super) fn step(&self, ticket: Ticket, batch: Batch) -> Option<Job> {
        let stepped = self.keys().map_err(NotIssued::from).and_then(|keys| batch.step(&self.token, &keys));
        match stepped {
            Ok(Step::More(batch)) => return Some(Job { ticket, work: Work::Batch(batch) }),
            Ok(Step::Done { event, signatures, actor }) => {
                self.release(ticket, event, actor, |seq| Response::Ocsp { signatures, seq });
            }
            Err(why) => self.not_issued(ticket, why),
        }
        None
    }

    pub(super) fn ocsp_certificate(&self, ticket: Ticket, key: &str, actor: Actor) {
        let certified = not_ours(&actor.who).map_err(NotIssued::from).and_then(|()| {
            let keys = self.keys()?;
            let (seconds, now) = (self.bounds.responder, self.clock.now());
            ocsp::certify(key, &actor, (&self.token, &keys), seconds, now, &mut **self.entropy())
        });
        match certified {
            Ok(event) => self.release_certificate(ticket, event),
            Err(why) => self.not_issued(ticket, why),
        }
    }
}
