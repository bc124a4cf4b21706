//! One CRL: read whole, with every lint, its number and its times judged, signed, and verified.
//!
//! What is signed about revocation goes by the clock as it is, also when that is behind the journal:
//! a list with an early thisUpdate harms nobody, and one that expires harms everybody.

use std::io::Read;

use aws_lc_rs::digest::{Context, SHA256};
use policy::crl::{self, CrlError, Facts, Scope};
use policy::effects::UnixTime;
use policy::key::Hasher;

use super::issue::{NotIssued, issuer};
use super::keys::Keys;
use super::profiles::{Profiles, hexadecimal};
use crate::journal::{Event, Numbers};
use crate::pkcs11::Token;
use crate::wire::{Bounds, CrlRequest, Refusal, SealedPaper};

/// How far thisUpdate may lie ahead of this host's clock, in seconds.
pub(super) const AHEAD: u64 = 60;

/// How far it may lie behind, in seconds: for relying parties whose clock is slow, and for the time
/// that a large list takes.
pub(super) const BEHIND: u64 = 3600 + 300;

/// What a CRL needs of the signer.
pub(super) struct Press<'a> {
    pub(super) token: &'a Token,
    pub(super) keys: &'a Keys,
    pub(super) profiles: &'a Profiles,
    pub(super) bounds: Bounds,
    pub(super) now: UnixTime,
}

/// A CRL that was signed and verified; its entry must be durable before anybody sees the signature.
pub(super) struct SignedCrl {
    pub(super) event: Event,
    pub(super) signature: Vec<u8>,
}

impl Press<'_> {
    /// Checks and signs. `numbers` is asked once the list has passed, and then the number is used up,
    /// whatever comes of it: it hears whether it is the next one.
    pub(super) fn sign(
        &self,
        request: &CrlRequest,
        paper: &SealedPaper,
        numbers: impl FnOnce(&mut dyn FnMut(&mut Numbers) -> Result<(), Refusal>) -> Result<(), Refusal>,
    ) -> Result<SignedCrl, NotIssued> {
        let CrlRequest { issuer: label, scope, start, length, .. } = request;
        let (key, issuer) = issuer(self.keys, label)?;
        let facts = crl::check(paper.section(*start, *length), issuer, *scope).map_err(refused)?;
        self.check_times(&facts)?;
        for url in &facts.urls {
            // Certificates from before may name a place that no profile does any more. It must say itself of what
            // it is the CRL: no list stands for a larger one, or another.
            let by_itself = matches!(scope, Scope::Shard(shard) if shard.is_all_of(url));
            if !by_itself && !self.profiles.names_crl(url, issuer, *scope) {
                let why = format!(
                    "{url} does not say that it is the CRL of {scope}, and no profile names it so: add it to the `crl` of one"
                );
                return Err(Refusal::Policy(why).into());
            }
        }
        let number = facts.number.ok_or_else(|| Refusal::Policy("the CRL has no number".to_owned()))?;
        numbers(&mut |numbers| {
            let greatest = numbers.get(label, *scope);
            let above = greatest.above(facts.base);
            let most = crl::number(Some(above), self.now.plus(AHEAD));
            if number <= above || number < facts.this_update.0 || number > most {
                return Err(Refusal::Number { above });
            }
            if facts.base.is_some_and(|base| base > greatest.complete) {
                let why = "a delta CRL adds to a complete one that was signed before".to_owned();
                return Err(Refusal::Policy(why));
            }
            numbers.take(label, *scope, number, facts.base);
            Ok(())
        })?;

        // It is sealed, so that these are the octets that were read (J4).
        let scheme = key.token.public.certificate_scheme();
        let (mut hasher, mut digest) = (Hasher::new(scheme), Context::new(&SHA256));
        let mut piece = vec![0; 64 * 1024];
        let mut octets = paper.section(*start, *length);
        loop {
            let read = octets.read(&mut piece).map_err(|error| refused(error.into()))?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]).map_err(|error| Refusal::Policy(error.to_string()))?;
            digest.update(&piece[..read]);
        }
        let signature = self.token.sign_hashed(&key.token, &hasher.finish()).map_err(NotIssued::Token)?;
        let Facts { base, this_update, next_update, entries, .. } = facts;
        let sha256 = hexadecimal(digest.finish().as_ref());
        let (issuer, scope) = (label.clone(), *scope);
        let event = Event::Crl { issuer, scope, number, base, this_update, next_update, entries, sha256 };
        Ok(SignedCrl { event, signature })
    }

    fn check_times(&self, facts: &Facts) -> Result<(), Refusal> {
        check_update(facts.this_update, self.now)?;
        let seconds = facts.next_update.0.saturating_sub(facts.this_update.0);
        if seconds > self.bounds.crl {
            let most = self.bounds.crl;
            let why = format!(
                "the CRL would be valid for {seconds} s, and {most} s is the most: ask for less, or raise `crl` in [revocation] of the signer's configuration"
            );
            return Err(Refusal::Policy(why));
        }
        Ok(())
    }
}

/// Whether thisUpdate is now.
pub(super) fn check_update(this_update: UnixTime, now: UnixTime) -> Result<(), Refusal> {
    if (now.minus(BEHIND)..=now.plus(AHEAD)).contains(&this_update) {
        return Ok(());
    }
    let seconds = this_update.0.abs_diff(now.0);
    Err(Refusal::Policy(format!("thisUpdate is {seconds} s away from the signer's time: look at both clocks")))
}

fn refused(error: CrlError) -> Refusal {
    Refusal::Policy(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_update_is_now_or_a_little_before() {
        let now = UnixTime(1_000_000);
        for good in [now, now.plus(AHEAD), now.minus(3600)] {
            assert_eq!(check_update(good, now), Ok(()));
        }
        for bad in [now.plus(AHEAD + 1), now.minus(BEHIND + 1)] {
            assert!(check_update(bad, now).is_err_and(|refusal| refusal.to_string().contains("both clocks")));
        }
    }
}
