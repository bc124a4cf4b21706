//! Authorities: made, certified, switched and retired while the signer serves, one deed at a time.
//!
//! Each deed is in the journal before it takes effect; what the journal says last of an authority is what
//! it is. A plan is written before its keys are made, so that a crash leaves no key that nobody knows of:
//! whoever asks for the same once more completes it.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use policy::authority::{AuthorityNumber, AuthorityProfile, Kind};
use policy::evidence::AuthorizationRecord;
use policy::key::{KeyAlgorithm, PublicKey};
use policy::serial::Serial;
use policy::tbs::{self, AuthorityCertificate, Certificate, Issuer, TbsError};

use super::answer::{Signer, journal, not_ours};
use super::issue::{NotIssued, check_clock, issuer};
use super::keys;
use super::profiles::hexadecimal;
use super::server::Ticket;
use super::state::SealState;
use crate::journal::{Authority, AuthorityStep, Der, Event, Standing};
use crate::pkcs11::TokenKey;
use crate::wire::{Actor, AuthorityDeed, AuthorityRequest, MAX_CHAIN, Plan, Refusal, Response};

/// Every authority of a signer, by number.
pub(super) type Authorities = BTreeMap<AuthorityNumber, Authority>;

impl Signer {
    /// What the journal says of authorities.
    pub(super) fn authorities(&self) -> MutexGuard<'_, Authorities> {
        self.authorities.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one deed, and answers when it has taken effect.
    pub(super) fn authority(&self, ticket: Ticket, request: AuthorityRequest) {
        match self.act_on_authority(request) {
            Ok(seq) => ticket.answer(Ok(Response::Recorded { seq })),
            Err(why) => self.not_issued(ticket, why),
        }
    }

    fn act_on_authority(&self, request: AuthorityRequest) -> Result<u64, NotIssued> {
        let AuthorityRequest { number, deed, actor } = request;
        not_ours(&actor.who)?;
        if let Some(fault) = self.journal.fault() {
            return Err(Refusal::Journal(fault).into());
        }
        check_clock(self.clock.now(), self.journal.at())?;
        // Making a key takes seconds: nobody waits for that here.
        let Ok(_one) = self.authority_desk.try_lock() else { return Err(Refusal::Busy.into()) };
        let mut all = self.authorities().clone();
        let desk = Desk { signer: self, actor: &actor };
        match deed {
            AuthorityDeed::Create(plan) => desk.create(&mut all, number, plan),
            AuthorityDeed::Certify { by } => desk.certify(&mut all, number, &by),
            AuthorityDeed::Adopt { chain } => desk.adopt(&mut all, number, chain),
            AuthorityDeed::Disable => desk.stand(&mut all, number, Standing::Disabled),
            AuthorityDeed::Enable => desk.stand(&mut all, number, Standing::Enabled),
            AuthorityDeed::Retire => desk.stand(&mut all, number, Standing::Retired),
        }
    }
}

/// One deed in progress.
struct Desk<'a> {
    signer: &'a Signer,
    actor: &'a Actor,
}

impl Desk<'_> {
    fn create(&self, all: &mut Authorities, number: AuthorityNumber, plan: Plan) -> Result<u64, NotIssued> {
        let planned = match all.get(&number) {
            Some(known) if !is_of(known, &plan) => {
                let why = format!("authority {number} is another one: ask for the next number");
                return Err(Refusal::State(why).into());
            }
            Some(known) if known.standing != Standing::Planned => return Ok(self.signer.journal.last()),
            Some(known) => known.clone(),
            None => {
                let next = all.last_key_value().map_or(Ok(AuthorityNumber::FIRST), |(last, _)| last.next());
                match next {
                    Ok(next) if next == number => {}
                    Ok(next) => return Err(refused(&format!("the next authority has the number {next}"))),
                    Err(error) => return Err(refused(&format!("{error}: no more can be made"))),
                }
                self.room(all, &plan)?;
                let planned = Authority {
                    number,
                    profile: plan.profile,
                    kind: plan.kind,
                    key: plan.key,
                    subject: plan.subject,
                    names: plan.names,
                    not_after: plan.not_after,
                    standing: Standing::Planned,
                    spki: Vec::new(),
                    responder: Vec::new(),
                    csr: Vec::new(),
                    chain: Vec::new(),
                };
                self.commit(all, AuthorityStep::Planned, planned.clone(), None)?;
                planned
            }
        };
        self.complete(all, planned)
    }

    /// Whether the profile allows one more such authority.
    fn room(&self, all: &Authorities, plan: &Plan) -> Result<(), NotIssued> {
        let profiles = self.signer.profiles();
        let profile = allowed(profiles.authority(&plan.profile), &plan.profile)?;
        if let Some(why) = profile.refusal(plan.kind, plan.key) {
            return Err(refused(&why));
        }
        let alive = all.values().filter(|one| one.profile == plan.profile && one.standing != Standing::Retired).count();
        if alive >= profile.maximum() {
            let why = format!(
                "there are {alive} authorities of the profile `{}`, as many as its `maximum`: retire one, or raise it",
                plan.profile
            );
            return Err(refused(&why));
        }
        // What could not be signed is not planned.
        let what = certificate(profile, &plan.subject, &plan.names, plan.not_after);
        what.validity(None, self.signer.clock.now()).map(drop).map_err(policy)
    }

    /// Makes the keys of a planned authority, or finds those that an interrupted attempt has made.
    fn complete(&self, all: &mut Authorities, mut planned: Authority) -> Result<u64, NotIssued> {
        let number = planned.number;
        let key = self.key(&number.label(), planned.key.algorithm(), planned.key.bits())?;
        let responder = self.key(&number.responder_label(), KeyAlgorithm::P256, 0)?;
        let request = tbs::authority_request(&planned.subject, &planned.names, &key.public).map_err(policy)?;
        let scheme = key.public.certificate_scheme();
        let signature = self.signer.token.sign(&key, scheme, request.as_bytes()).map_err(NotIssued::Token)?;
        planned.csr = request.assemble(&signature).map_err(policy)?;
        planned.spki = key.public.spki().to_vec();
        planned.responder = responder.public.spki().to_vec();
        planned.standing = Standing::Pending;
        let kind = planned.kind;
        let seq = self.commit(all, AuthorityStep::Keyed, planned, Some((key.clone(), responder)))?;
        match kind {
            Kind::Intermediate => Ok(seq),
            Kind::SelfSigned => self.sign_itself(all, number, &key),
        }
    }

    /// The key with this label: it is there if an earlier attempt got that far.
    fn key(&self, label: &str, algorithm: KeyAlgorithm, bits: u16) -> Result<TokenKey, NotIssued> {
        let token = &self.signer.token;
        token
            .key_if_there(label)
            .transpose()
            .unwrap_or_else(|| token.generate(label, algorithm, bits))
            .map_err(NotIssued::Token)
    }

    fn sign_itself(&self, all: &mut Authorities, number: AuthorityNumber, key: &TokenKey) -> Result<u64, NotIssued> {
        let mut authority = known(all, number)?.clone();
        let profiles = self.signer.profiles();
        let profile = allowed(profiles.authority(&authority.profile), &authority.profile)?;
        let what = certificate(profile, &authority.subject, &authority.names, authority.not_after);
        let der = self.sign(&what, None, &key.public, (key, &number.label()), profile)?;
        authority.chain = vec![Der(der)];
        authority.standing = Standing::Enabled;
        self.commit(all, AuthorityStep::Certified, authority, None)
    }

    fn certify(&self, all: &mut Authorities, number: AuthorityNumber, by: &str) -> Result<u64, NotIssued> {
        let mut authority = known(all, number)?.clone();
        match (authority.standing, authority.kind) {
            (Standing::Pending, Kind::Intermediate) => {}
            (Standing::Pending, Kind::SelfSigned) if by == number.label() => {
                let key = self.signer.keys()?.get(by).map(|key| key.token.clone());
                let key = key.ok_or_else(|| refused(&format!("there is no key `{by}` in the token")))?;
                return self.sign_itself(all, number, &key);
            }
            _ => return Err(unfit(&authority, "is certified once, while it is pending")),
        }
        let profiles = self.signer.profiles();
        let profile = allowed(profiles.authority(&authority.profile), &authority.profile)?;
        let keys = self.signer.keys()?;
        let (above, above_certificate) = issuer(&keys, by)?;
        above.may_issue()?;
        let public = PublicKey::from_spki(&authority.spki).map_err(|error| refused(&error.to_string()))?;
        let what = certificate(profile, &authority.subject, &authority.names, authority.not_after);
        let der = self.sign(&what, Some(above_certificate), &public, (&above.token, by), profile)?;
        let higher = match AuthorityNumber::of_label(by).and_then(|number| all.get(&number)) {
            Some(above) => above.chain.clone(),
            None => vec![Der(above_certificate.certificate().to_vec())],
        };
        authority.chain = [vec![Der(der)], higher].concat();
        authority.chain.truncate(MAX_CHAIN);
        authority.standing = Standing::Enabled;
        self.commit(all, AuthorityStep::Certified, authority, None)
    }

    /// Builds, lints, signs, verifies and journals a certificate, as every certificate is (J1, J4).
    fn sign(
        &self,
        what: &AuthorityCertificate<'_>,
        issuer: Option<&Issuer>,
        public: &PublicKey,
        (key, label): (&TokenKey, &str),
        profile: &AuthorityProfile,
    ) -> Result<Vec<u8>, NotIssued> {
        let serial = Serial::generate(&mut **self.signer.entropy()).map_err(token)?;
        let tbs = tbs::authority(what, issuer, public, serial, self.signer.clock.now()).map_err(policy)?;
        let linted = tbs.lint(issuer).map_err(policy)?;
        let scheme = key.public.certificate_scheme();
        let signature = self.signer.token.sign(key, scheme, linted.tbs().as_bytes()).map_err(NotIssued::Token)?;
        let certificate = linted.assemble(&key.public, scheme, &signature).map_err(policy)?;
        let der = certificate.der().to_vec();
        let Actor { who, request_id } = self.actor.clone();
        self.append(Event::Certificate {
            certificate: der.clone(),
            profile: profile.name().to_owned(),
            profile_sha256: hexadecimal(&profile.digest()),
            issuer: label.to_owned(),
            record: AuthorizationRecord { actor: who, request_id, ..AuthorizationRecord::default() },
        })?;
        Ok(der)
    }

    fn adopt(&self, all: &mut Authorities, number: AuthorityNumber, chain: Vec<Vec<u8>>) -> Result<u64, NotIssued> {
        let mut authority = known(all, number)?.clone();
        if matches!(authority.standing, Standing::Planned | Standing::Retired) {
            return Err(unfit(&authority, "takes no certificate"));
        }
        let chain: Vec<Der> = chain.into_iter().map(Der).collect();
        if authority.chain == chain {
            return Ok(self.signer.journal.last());
        }
        self.judge_chain(&authority, &chain)?;
        authority.chain = chain;
        if authority.standing == Standing::Pending {
            authority.standing = Standing::Enabled;
        }
        self.commit(all, AuthorityStep::Certified, authority, None)
    }

    /// RFC 5280 section 6.1, as far as it does not take a trust anchor: whoever is outside is fine.
    fn judge_chain(&self, authority: &Authority, chain: &[Der]) -> Result<(), NotIssued> {
        let read = |Der(der): &Der| -> Result<(Certificate, Issuer), NotIssued> {
            Ok((Certificate::from_der(der).map_err(policy)?, Issuer::from_der(der).map_err(policy)?))
        };
        let chain = chain.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let Some((own, own_issuer)) = chain.first() else { return Err(refused("the chain is empty")) };
        if own_issuer.key().spki() != authority.spki {
            return Err(refused("the first certificate is not one of this authority's key: begin with it"));
        }
        let asked = tbs::authority_subject(&authority.subject).map_err(policy)?;
        if own.subject() != asked {
            return Err(refused(&format!("the first certificate is for `{}`, and not for `{asked}`", own.subject())));
        }
        if let Some(Der(before)) = authority.chain.first()
            && Issuer::from_der(before).map_err(policy)?.key_identifier() != own_issuer.key_identifier()
        {
            return Err(refused("the first certificate has another subject key identifier than the one before"));
        }
        if !own.validity().contains(self.signer.clock.now()) {
            return Err(refused("the first certificate is not valid now"));
        }
        for (depth, pair) in chain.windows(2).enumerate() {
            let [(below, _), (above, issuer)] = pair else { continue };
            if below.issuer() != above.subject() || below.verify(issuer.key()).is_err() {
                let why =
                    format!("`{}` was not signed by the certificate after it: put them in order", below.subject());
                return Err(refused(&why));
            }
            // The certificates between this one and the leaf are `depth` more than the authority's own.
            if issuer.path_length().is_some_and(|limit| usize::from(limit) < depth + 1) {
                return Err(refused(&format!(
                    "the path length of `{}` does not allow what is below it",
                    above.subject()
                )));
            }
        }
        let (last, issuer) = chain.last().expect("it has a first one");
        if last.issuer() == last.subject() && last.verify(issuer.key()).is_err() {
            return Err(refused(&format!("`{}` names itself as its issuer, and did not sign itself", last.subject())));
        }
        Ok(())
    }

    fn stand(&self, all: &mut Authorities, number: AuthorityNumber, to: Standing) -> Result<u64, NotIssued> {
        let mut authority = known(all, number)?.clone();
        let step = match (authority.standing, to) {
            (before, to) if before == to => return Ok(self.signer.journal.last()),
            (Standing::Enabled, Standing::Disabled) => AuthorityStep::Disabled,
            (Standing::Disabled, Standing::Enabled) => AuthorityStep::Enabled,
            (_, Standing::Retired) => AuthorityStep::Retired,
            _ => return Err(unfit(&authority, &format!("does not become {} from that", to.as_str()))),
        };
        authority.standing = to;
        self.commit(all, step, authority, None)
    }

    /// Journals how an authority is from now on, and then lets it be so, in memory and among the keys.
    fn commit(
        &self,
        all: &mut Authorities,
        step: AuthorityStep,
        authority: Authority,
        new: Option<(TokenKey, TokenKey)>,
    ) -> Result<u64, NotIssued> {
        let seq = self.append(Event::Authority { step, authority: Box::new(authority.clone()) })?;
        if let SealState::Unsealed(keys) = &mut *self.signer.state_mut() {
            let found = new.or_else(|| {
                let token = |label: &str| keys.get(label).map(|key| key.token.clone());
                token(&authority.number.label()).zip(token(&authority.number.responder_label()))
            });
            if let Some(found) = found {
                *keys = Arc::new(keys.with_authority(&authority, found));
            }
        }
        all.insert(authority.number, authority);
        self.signer.authorities().clone_from(all);
        Ok(seq)
    }

    /// The seal is closed under the same lock, so that nothing is done after that entry.
    fn append(&self, event: Event) -> Result<u64, NotIssued> {
        let state = self.signer.state();
        if !matches!(*state, SealState::Unsealed(_)) {
            return Err(Refusal::Sealed.into());
        }
        let Actor { who, request_id } = self.actor.clone();
        Ok(self.signer.journal.append_and_wait(event, who, request_id).map_err(journal)?)
    }
}

/// What status says of their keys, whether the token is open or not.
pub(super) fn status(all: &Authorities) -> impl Iterator<Item = crate::wire::KeyStatus> {
    all.values().filter(|authority| authority.standing != Standing::Planned).flat_map(keys::authority_status)
}

fn certificate<'a>(
    profile: &'a AuthorityProfile,
    subject: &'a policy::authority::Subject,
    names: &'a [policy::name::DnsName],
    not_after: Option<policy::effects::UnixTime>,
) -> AuthorityCertificate<'a> {
    AuthorityCertificate {
        subject,
        names,
        path_length: profile.path_length(),
        pki_url: profile.pki_url(),
        seconds: profile.seconds(),
        not_after,
    }
}

fn is_of(known: &Authority, plan: &Plan) -> bool {
    let Plan { profile, kind, key, subject, names, not_after } = plan;
    known.profile == *profile
        && known.kind == *kind
        && known.key == *key
        && known.subject == *subject
        && known.names == *names
        && known.not_after == *not_after
}

fn known(all: &Authorities, number: AuthorityNumber) -> Result<&Authority, NotIssued> {
    all.get(&number).ok_or_else(|| refused(&format!("there is no authority {number}")))
}

fn allowed<'a>(profile: Option<&'a AuthorityProfile>, name: &str) -> Result<&'a AuthorityProfile, NotIssued> {
    profile.ok_or_else(|| {
        refused(&format!("no profile `{name}` with a section [authority] allows it: write one, and reload"))
    })
}

fn unfit(authority: &Authority, what: &str) -> NotIssued {
    Refusal::State(format!("authority {} is {}, and {what}", authority.number, authority.standing.as_str())).into()
}

fn refused(why: &str) -> NotIssued {
    Refusal::Policy(why.to_owned()).into()
}

fn policy(error: TbsError) -> NotIssued {
    Refusal::Policy(error.to_string()).into()
}

fn token(error: policy::effects::EntropyError) -> NotIssued {
    Refusal::Token(error.to_string()).into()
}
