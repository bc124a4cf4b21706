//! OCSP answers: judged all at once, signed one by one, journalled together; and the certificate of
//! the key that signs them.
//!
//! Like CRLs they go by the clock as it is.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use policy::effects::{Entropy, UnixTime};
use policy::evidence::AuthorizationRecord;
use policy::ocsp::{self, ResponseData};
use policy::serial::Serial;
use policy::tbs::{self, Role, RoleCertificate, TbsError};

use super::crl::check_update;
use super::issue::{NotIssued, issuer};
use super::keys::{Key, Keys};
use crate::journal::{Event, OCSP_RESPONDER};
use crate::pkcs11::Token;
use crate::wire::{Actor, Bounds, MAX_OCSP, OcspRequest, Purpose, Refusal};

/// Answers of which some are signed.
pub(super) struct Batch {
    key: String,
    /// Those that are not signed yet, the next one last.
    waiting: Vec<Vec<u8>>,
    signatures: Vec<Vec<u8>>,
    sha256: Vec<String>,
    pub(super) actor: Actor,
}

/// What came of one step.
pub(super) enum Step {
    /// Some are left.
    More(Batch),
    /// All are signed and verified; the entry must be durable before anybody sees a signature.
    Done { event: Event, signatures: Vec<Vec<u8>>, actor: Actor },
}

impl Batch {
    /// Judges every answer.
    pub(super) fn new(request: OcspRequest, keys: &Keys, bounds: Bounds, now: UnixTime) -> Result<Self, Refusal> {
        let OcspRequest { key: label, mut responses, actor } = request;
        if !(1..=MAX_OCSP).contains(&responses.len()) {
            return Err(Refusal::Forbidden(format!("a batch has 1 to {MAX_OCSP} OCSP answers")));
        }
        let (key, above) = responder(keys, &label)?;
        let (_, issuer) = issuer(keys, above)?;
        for response in &responses {
            let data =
                ocsp::check(response, issuer, &key.token.public).map_err(|error| Refusal::Policy(error.to_string()))?;
            check_times(&data, bounds, now)?;
        }
        let sha256 = responses.iter().map(|data| STANDARD_NO_PAD.encode(digest(&SHA256, data))).collect();
        responses.reverse();
        Ok(Self { key: label, signatures: Vec::with_capacity(responses.len()), waiting: responses, sha256, actor })
    }

    /// Signs the next one.
    pub(super) fn step(mut self, token: &Token, keys: &Keys) -> Result<Step, NotIssued> {
        if let Some(data) = self.waiting.pop() {
            let (key, _) = responder(keys, &self.key)?;
            let scheme = key.token.public.certificate_scheme();
            self.signatures.push(token.sign(&key.token, scheme, &data).map_err(NotIssued::Token)?);
        }
        if !self.waiting.is_empty() {
            return Ok(Step::More(self));
        }
        let event = Event::Ocsp { key: self.key, sha256: self.sha256 };
        Ok(Step::Done { event, signatures: self.signatures, actor: self.actor })
    }
}

/// The OCSP key with this label, and the label of the issuing key above it.
fn responder<'a>(keys: &'a Keys, label: &str) -> Result<(&'a Key, &'a str), Refusal> {
    match keys.get(label) {
        Some(key @ Key { purpose: Purpose::Ocsp, above: Some(above), .. }) => Ok((key, above)),
        Some(Key { purpose: Purpose::Ocsp, .. }) => Err(Refusal::Policy(format!(
            "no issuing key of this signer has signed the certificate of the OCSP key `{label}`: correct its `certificate`"
        ))),
        Some(_) => Err(Refusal::Forbidden(format!("the key `{label}` does not sign OCSP answers"))),
        None => Err(Refusal::Policy(format!("there is no key `{label}`"))),
    }
}

fn check_times(data: &ResponseData, bounds: Bounds, now: UnixTime) -> Result<(), Refusal> {
    check_update(data.produced_at, now)?;
    for response in &data.responses {
        check_update(response.this_update, now)?;
        let seconds = response.next_update.0.saturating_sub(response.this_update.0);
        if seconds > bounds.ocsp {
            let most = bounds.ocsp;
            return Err(Refusal::Policy(format!(
                "an OCSP answer would be valid for {seconds} s, and {most} s is the most: ask for less, or raise `ocsp` in [revocation] of the signer's configuration"
            )));
        }
    }
    Ok(())
}

/// Certifies the OCSP key once more. Nothing of it is the caller's but the wish.
pub(super) fn certify(
    label: &str,
    actor: &Actor,
    (token, keys): (&Token, &Keys),
    seconds: u64,
    now: UnixTime,
    entropy: &mut dyn Entropy,
) -> Result<Event, NotIssued> {
    let refused = |error: TbsError| Refusal::Policy(error.to_string());
    let (key, above) = responder(keys, label)?;
    let (issuing, issuer) = issuer(keys, above)?;
    let serial = Serial::generate(entropy).map_err(|error| Refusal::Token(error.to_string()))?;
    let tbs = match (&key.authority, &key.certificate) {
        (Some(authority), _) => {
            let what = RoleCertificate {
                role: Role::OcspResponder,
                common_name: &format!("OCSP Responder {}", authority.number),
                organization: authority.subject.fields().organization.as_deref(),
                names: &[],
                pki_url: None,
                seconds,
            };
            tbs::role(&what, issuer, &key.token.public, serial, now)
        }
        (None, Some(before)) => tbs::renewed(before, issuer, serial, now, seconds),
        (None, None) => {
            let why = format!("the OCSP key `{label}` has no certificate to be renewed: write its `certificate`");
            return Err(Refusal::Policy(why).into());
        }
    };
    let tbs = tbs.map_err(refused)?;
    let linted = tbs.lint(Some(issuer)).map_err(refused)?;
    let scheme = issuing.token.public.certificate_scheme();
    let signature = token.sign(&issuing.token, scheme, linted.tbs().as_bytes()).map_err(NotIssued::Token)?;
    let certificate = linted.assemble(&issuing.token.public, scheme, &signature).map_err(refused)?;
    let Actor { who, request_id } = actor.clone();
    Ok(Event::Certificate {
        certificate: certificate.der().to_vec(),
        profile: OCSP_RESPONDER.to_owned(),
        profile_sha256: String::new(),
        issuer: above.to_owned(),
        record: AuthorizationRecord { actor: who, request_id, ..AuthorizationRecord::default() },
    })
}
