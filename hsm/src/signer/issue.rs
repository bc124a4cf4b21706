//! One certificate: checked against profile, evidence, clock and issuer, signed, assembled.
//!
//! Nothing that `signetd` says is taken over: the bytes are built again from the profile that this
//! process read, and must be equal (J4).

use std::sync::{Mutex, PoisonError};

use policy::effects::UnixTime;
use policy::evidence::AuthorizationRecord;
use policy::name::Name;
use policy::profile::{Decision, Profile, Terms};
use policy::tbs::{self, Issuer, TbsCertificate, TbsError};

use super::keys::{Key, Keys};
use super::profiles::{Profiles, hexadecimal};
use super::serials::Serials;
use crate::journal::{Event, MAX_LINE};
use crate::pkcs11::{Token, TokenError};
use crate::wire::{CertificateRequest, Purpose, Refusal};

/// How far the time of signing that the bytes imply may lie from this host's clock, in seconds.
const CLOCK_TOLERANCE: u64 = 60;

/// How far the clock may lie behind the latest time in the journal before signing stops, in seconds (I6).
const STEP_BACK: u64 = 60;

/// Most bytes of a certificate beside its TBS: RSA-4096, and some octets of DER.
const SIGNATURE: usize = 600;

/// Most bytes of a line beside certificate and record, whose actor and request id stand in it twice.
const REST_OF_LINE: usize = 8 * 1024;

/// What an issuance needs of the signer.
pub(super) struct Bench<'a> {
    pub(super) token: &'a Token,
    pub(super) keys: &'a Keys,
    pub(super) profiles: &'a Profiles,
    pub(super) serials: &'a Mutex<Serials>,
    /// This host's clock, now.
    pub(super) now: UnixTime,
    /// The latest time in the journal.
    pub(super) latest: UnixTime,
}

/// Why no certificate was made.
pub(super) enum NotIssued {
    /// What the caller hears.
    Refused(Refusal),
    /// The token failed.
    Token(TokenError),
}

impl From<Refusal> for NotIssued {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Bench<'_> {
    /// Checks, signs and assembles. The certificate is in the event, which must be durable before
    /// anybody sees it (J1).
    pub(super) fn issue(&self, request: CertificateRequest) -> Result<Event, NotIssued> {
        let refuse = |why: String| Refusal::Policy(why);
        check_clock(self.now, self.latest)?;
        let profile = self
            .profiles
            .get(&request.profile)
            .ok_or_else(|| refuse(format!("there is no profile `{}`", request.profile)))?;
        if profile.digest() != request.profile_sha256 {
            return Err(Refusal::Profile(request.profile).into());
        }
        let (key, issuer) = issuer(self.keys, &request.issuer)?;
        self.check_authority(key, profile.name())?;
        let tbs = TbsCertificate::from_der(&request.tbs).map_err(policy)?;
        let linted = self.check(profile, issuer, &request, &tbs)?.lint(Some(issuer)).map_err(policy)?;

        // Nothing is signed that could not be journalled.
        let record = serde_json::to_vec(&request.record).map_or(usize::MAX, |json| json.len());
        let certificate = (linted.tbs().as_bytes().len() + SIGNATURE).div_ceil(3) * 4;
        if record.saturating_add(certificate + REST_OF_LINE) > MAX_LINE {
            let why = "the certificate and its record do not fit an entry of the journal: ask for fewer names";
            return Err(refuse(why.to_owned()).into());
        }

        // The reservation is used up by the attempt, whatever comes of it (J6).
        let serial = tbs.serial().map_err(policy)?;
        if !self.serials.lock().unwrap_or_else(PoisonError::into_inner).consume(serial) {
            return Err(Refusal::Serial.into());
        }
        let scheme = key.token.public.certificate_scheme();
        let signature = self.token.sign(&key.token, scheme, linted.tbs().as_bytes()).map_err(NotIssued::Token)?;
        let certificate = linted.assemble(&key.token.public, scheme, &signature).map_err(policy)?;
        Ok(Event::Certificate {
            certificate: certificate.der().to_vec(),
            profile: request.profile,
            profile_sha256: hexadecimal(&profile.digest()),
            issuer: request.issuer,
            record: request.record,
        })
    }

    /// An authority signs what the profile that allows it names, while it is enabled.
    fn check_authority(&self, key: &Key, profile: &str) -> Result<(), Refusal> {
        key.may_issue()?;
        let Some(authority) = &key.authority else { return Ok(()) };
        match self.profiles.authority(&authority.profile) {
            Some(allowing) if allowing.issues(profile) => Ok(()),
            _ => Err(Refusal::Policy(format!(
                "authority {} signs no certificates of the profile `{profile}`: add it to `issues` in the profile `{}`",
                authority.number, authority.profile
            ))),
        }
    }

    /// Builds the bytes again from what this process knows, and compares.
    fn check(
        &self,
        profile: &Profile,
        issuer: &Issuer,
        request: &CertificateRequest,
        tbs: &TbsCertificate,
    ) -> Result<TbsCertificate, Refusal> {
        let key = tbs.key().map_err(policy)?;
        if self.keys.holds(&key) {
            return Err(Refusal::Policy("the key is one of this CA's own".to_owned()));
        }
        let names = names(&request.record);
        let terms = match profile.decide(&key, &names, request.common_name.as_deref(), &request.record, self.now) {
            Decision::Issue(terms) => terms,
            Decision::AskHuman(_) => {
                let why = format!("profile `{}` issues only what was approved", profile.name());
                return Err(Refusal::Policy(why));
            }
            Decision::Refuse(refusal) => return Err(Refusal::Policy(refusal.why)),
        };
        let terms = terms.with_validity(request.requested);
        let signed_at = match request.requested.not_before {
            // It says nothing of the time of signing; whether it can be had now is judged below.
            Some(_) => self.now,
            None => self.time_of_signing(tbs.validity().map_err(policy)?.not_before(), &terms, issuer)?,
        };
        let serial = tbs.serial().map_err(policy)?;
        let ours = tbs::leaf(profile, &terms, issuer, &key, serial, signed_at).map_err(policy)?;
        if ours != *tbs {
            return Err(Refusal::Policy(format!(
                "the certificate is not the one that profile `{}` and the record describe",
                profile.name()
            )));
        }
        Ok(ours)
    }

    /// The time of signing that `not_before` implies, if it is now.
    fn time_of_signing(&self, not_before: UnixTime, terms: &Terms, issuer: &Issuer) -> Result<UnixTime, Refusal> {
        let issuer_begins = issuer.validity().not_before();
        if not_before == issuer_begins && self.now.minus(terms.backdate) <= issuer_begins {
            // A young issuer: notBefore was cut, and says nothing of the time of signing.
            return Ok(self.now);
        }
        let implied = not_before.plus(terms.backdate);
        if implied.0.abs_diff(self.now.0) > CLOCK_TOLERANCE {
            return Err(Refusal::Policy(format!(
                "the certificate would begin {} s away from the time of signing",
                implied.0.abs_diff(self.now.0)
            )));
        }
        Ok(implied)
    }
}

/// The issuing key with this label, and its certificate.
pub(super) fn issuer<'a>(keys: &'a Keys, label: &str) -> Result<(&'a Key, &'a Issuer), Refusal> {
    match keys.get(label) {
        Some(key @ Key { purpose: Purpose::Issue, issuer: Some(issuer), .. }) => Ok((key, issuer)),
        Some(Key { purpose: Purpose::Issue, .. }) => {
            Err(Refusal::Policy(format!("the authority of the key `{label}` has no certificate yet")))
        }
        Some(_) => Err(Refusal::Forbidden(format!("the key `{label}` does not issue certificates or CRLs"))),
        None => Err(Refusal::Policy(format!("there is no key `{label}`"))),
    }
}

/// A clock that was set back signs nothing: what it would say is already known to be wrong.
pub(super) fn check_clock(now: UnixTime, latest: UnixTime) -> Result<(), Refusal> {
    match latest.0.saturating_sub(now.0) {
        behind if behind > STEP_BACK => Err(Refusal::Journal(format!(
            "this host's clock is {behind} s behind the journal: correct the clock; if the clock is right and was ahead before, nothing is signed until it has passed the journal's time"
        ))),
        _ => Ok(()),
    }
}

fn names(record: &AuthorizationRecord) -> Vec<Name> {
    record.names.iter().map(|evidence| evidence.name.clone()).collect()
}

fn policy(error: TbsError) -> Refusal {
    Refusal::Policy(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_stops_signing() {
        let latest = UnixTime(1_000_000);
        for now in [latest, latest.plus(9_999), latest.minus(STEP_BACK)] {
            assert_eq!(check_clock(now, latest), Ok(()));
        }
        let refused = check_clock(latest.minus(STEP_BACK + 1), latest).unwrap_err();
        assert!(refused.to_string().contains("61 s behind"), "{refused}");
    }
}
