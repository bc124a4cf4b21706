//! Requests: CSRs that stay until they are deleted, whatever becomes of them. A manager signs one by a CA of
//! ours, on his word and with exactly the names of the CSR; or puts another CA's chain to it; or rejects it.

use std::ops::Bound;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use hsm::wire::Act;
use policy::csr::{Csr, CsrError};
use policy::effects::UnixTime;
use policy::evidence::{AuthorizationRecord, Method};
use policy::notary::Deed;
use policy::profile::Decision;
use policy::rights::Scope;
use policy::serial::Serial;
use policy::tbs::Certificate;
use policy::validity::Requested;
use serde::{Deserialize, Serialize};

use super::chain::{self, Chain, ChainError};
use crate::issuance::ca::CaError;
use crate::issuance::notary::{NOTARY_REQUESTS, NotaryRequest, NotaryState, order_of};
use crate::issuance::{Pipeline, Released, Submission};
use crate::service::authorities::{Authority, AuthorityNumber, CEREMONY};
use crate::service::certificates::RevokeError;
use crate::service::issue::{IssueFailure, evidence};
use crate::service::metrics::Outcome;
use crate::service::peer::hex;
use crate::service::revocation::Deed as Fate;
use crate::service::rights::Permitted;
use crate::service::{Failure, Services};
use crate::store::tables::{CERTIFICATES, CertificateRecord};
use crate::store::{Change, CommitError, StoreError, Table, Versioned};

/// Numbers of requests. Key: SHA-256 of the CSR, DER.
const REQUESTS_BY_CSR: Table<u64> = Table::new("notary_requests_by_csr");

/// Chains of other CAs. Key: the request's number, u64, big-endian.
const CHAINS: Table<String> = Table::new("notary_chains");

/// The number of the next request; none is used twice. Key: [`NEXT_KEY`].
const NEXT: Table<u64> = Table::new("notary_next_request");

/// The only key of [`NEXT`].
const NEXT_KEY: &str = "request";

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub id: u64,
    /// The CSR as it was sent.
    pub csr: String,
    /// What can be used: the certificate, those above it and the root, PEM; empty without one.
    pub chain: String,
    /// How it stands.
    pub status: Status,
    /// Address of the account that sent it, if there still is one.
    pub email: Option<String>,
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It has a certificate, ours or another CA's.
    Active,
    /// Nobody has decided.
    Outstanding,
    /// Somebody rejected it.
    Rejected,
    /// Its certificate, one of ours, is revoked.
    Revoked,
}

/// Why something is not done with a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The request is somebody else's.
    #[error("access denied")]
    Access,
    /// There is no such CA.
    #[error("there is no such certificate authority")]
    Authority,
    /// The chain cannot be put to the request.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The CSR is no CSR.
    #[error("could not parse CSR")]
    Csr,
    /// The CSR is there already.
    #[error("given csr already recorded")]
    Exists,
    /// Anything else.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// It was not signed.
    #[error(transparent)]
    Issue(#[from] IssueFailure),
    /// A certificate of ours would be lost sight of.
    #[error("the request has a certificate of this CA: revoke it first")]
    Live,
    /// There is no such request.
    #[error("there is no such certificate request")]
    Missing,
    /// There is no certificate that we could revoke.
    #[error("only a certificate that this CA signed can be revoked by it")]
    NotOurs,
    /// The CSR is one, and cannot be used.
    #[error("csr validation failed: {0}")]
    Unusable(CsrError),
}

impl Services {
    /// Records a CSR, PEM.
    pub async fn submit_notary_request(&self, permitted: &Permitted, csr: String) -> Result<u64, RequestError> {
        if csr.len() > chain::MOST {
            return Err(RequestError::Csr);
        }
        let der = chain::first_block(&csr, "CERTIFICATE REQUEST")?;
        // What asks in a CA's name is no subscriber's business.
        let of_authority = |authority: Authority| authority.csr.is_some_and(|csr| is_of(&csr, &der));
        if self.authorities(permitted)?.into_iter().any(of_authority) {
            return Err(RequestError::Exists);
        }
        let parsed = Csr::from_der(&der).map_err(|error| match error {
            CsrError::Malformed(_) => RequestError::Csr,
            other => RequestError::Unusable(other),
        })?;
        if parsed.key().spki() == self.issuer.now().key().spki() {
            return Err(RequestError::Exists);
        }
        let request = NotaryRequest {
            requester: permitted.actor().who,
            created: self.clock.now(),
            csr,
            attempts: 0,
            state: NotaryState::Outstanding,
        };
        for _ in 0..CONFLICTS {
            let next = self.store.get(&NEXT, NEXT_KEY)?;
            let id = next.as_ref().map_or(1, |row| row.value);
            if self.store.get(&REQUESTS_BY_CSR, sha256(&der))?.is_some() {
                return Err(RequestError::Exists);
            }
            let mut change = Change::new();
            match next {
                None => change.insert(&NEXT, NEXT_KEY, &(id + 1)),
                Some(row) => change.update(&NEXT, NEXT_KEY, row.version, &(id + 1)),
            }
            change.insert(&NOTARY_REQUESTS, id.to_be_bytes(), &request);
            change.insert(&REQUESTS_BY_CSR, sha256(&der), &id);
            match self.store.commit(change).await {
                Err(CommitError::Conflict(_)) => {}
                other => {
                    other?;
                    tracing::info!(who = request.requester, request = id, "a CSR was recorded");
                    return Ok(id);
                }
            }
        }
        Err(Failure::Unavailable("too many requests at the same time: try again".to_owned()).into())
    }

    /// A page of the requests that the caller may see, from the one after `after` on, by number; and where
    /// the next page begins, if there is one.
    pub fn notary_requests(
        &self,
        permitted: &Permitted,
        after: Option<u64>,
    ) -> Result<(Vec<Request>, Option<u64>), RequestError> {
        let after = after.map(u64::to_be_bytes);
        let from = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(&key[..]));
        let rows = self.store.scan(&NOTARY_REQUESTS, (from, Bound::Unbounded), PAGE, false)?;
        let full = rows.len() == PAGE;
        let rows = rows.into_iter().filter_map(|(key, row)| Some((super::accounts::number(&key)?, row.value)));
        let rows: Vec<(u64, NotaryRequest)> = rows.collect();
        let next = rows.last().map(|(id, _)| *id).filter(|_| full);
        let own = rows.into_iter().filter(|(_, request)| is_within(permitted, request));
        let requests = own.map(|(id, request)| self.show(permitted, id, request)).collect::<Result<_, _>>()?;
        Ok((requests, next))
    }

    /// The request with this number.
    pub fn notary_request(&self, permitted: &Permitted, id: u64) -> Result<Request, RequestError> {
        let request = self.notary_row(id)?.value;
        if is_within(permitted, &request) { self.show(permitted, id, request) } else { Err(RequestError::Access) }
    }

    /// Signs a request by a CA of ours. One that has a good certificate of it keeps that.
    pub async fn sign_notary_request(
        &self,
        permitted: &Permitted,
        id: u64,
        authority: u64,
    ) -> Result<(), RequestError> {
        let _alone = self.calls.alone(&order_of(id, 0)).await;
        let begun = Instant::now();
        let signed = self.sign_alone(permitted, id, authority).await;
        let outcome = match &signed {
            Ok(()) => Some(Outcome::Issued),
            Err(RequestError::Issue(failure)) => Some(Outcome::of(failure)),
            Err(_) => None,
        };
        if let Some(outcome) = outcome {
            self.metrics.issuance("notary", &self.notary.profile, outcome, begun.elapsed());
        }
        signed
    }

    async fn sign_alone(&self, permitted: &Permitted, id: u64, authority: u64) -> Result<(), RequestError> {
        let Versioned { value: request, version } = self.notary_row(id)?;
        let pipeline = self.signing(authority)?;
        if self.live(&request)?.is_some_and(|record| *record.issuer == *pipeline.issuer_key) {
            return Ok(());
        }
        // Sealed, it stays as it is.
        if let Some(obstacle) = pipeline.obstacle() {
            return Err(IssueFailure::from(obstacle).into());
        }
        let csr = parsed(id, &request)?;
        let profile = self.profile(&self.notary.profile)?;
        let common_name = csr.common_name().filter(|_| profile.gives_requested_common_name()).map(str::to_owned);
        let (actor, attempt) = (permitted.actor(), request.attempts + 1);
        let record = AuthorizationRecord {
            names: evidence(csr.names(), Method::Administrator, self.clock.now()),
            subject: common_name.is_some().then_some(Method::Administrator),
            replaces: None,
            node: None,
            requester: (request.requester != actor.who).then(|| request.requester.clone()),
            order: Some(order_of(id, attempt)),
            actor: actor.who.clone(),
            request_id: actor.request_id.clone(),
        };
        match profile.decide(csr.key(), csr.names(), common_name.as_deref(), &record, self.clock.now()) {
            Decision::Issue(_) => {}
            Decision::AskHuman(_) => {
                let why = "the profile takes the signature of somebody else than the one who made the request";
                return Err(crate::service::issue::refused(why).into());
            }
            Decision::Refuse(refusal) => return Err(IssueFailure::from(refusal).into()),
        }
        if let Some(requester) = record.requester.clone() {
            // The decision counts once it is journalled.
            let (request, digest) = (format!("notary:{id}"), hex(&sha256(csr.der())));
            self.ca.note(Act::ApproveRequest { request, digest, requester }, actor.clone()).await?;
        }
        // Before the certificate is, so that it completes this attempt, whatever breaks on the way (J3).
        let request = NotaryRequest { attempts: attempt, ..request };
        let mut change = Change::new();
        change.update(&NOTARY_REQUESTS, id.to_be_bytes(), version, &request);
        self.store.commit(change).await?;
        let submission = Submission {
            profile: profile.name().to_owned(),
            key: csr.key().clone(),
            names: csr.names().to_vec(),
            common_name,
            requested: Requested::default(),
            record,
        };
        let Released { serial, .. } = pipeline.issue(submission).await.map_err(IssueFailure::from)?;
        tracing::info!(who = actor.who, request = id, %serial, "a request was signed");
        Ok(())
    }

    /// Puts the chain of another CA to a request: PEM, the certificate of the CSR's key first.
    pub async fn upload_notary_chain(&self, permitted: &Permitted, id: u64, pem: &str) -> Result<(), RequestError> {
        let chain = Chain::read(pem)?;
        let _alone = self.calls.alone(&order_of(id, 0)).await;
        let Versioned { value: request, version } = self.notary_row(id)?;
        chain.fits(parsed(id, &request)?.key())?;
        if self.live(&request)?.is_some() {
            return Err(RequestError::Live);
        }
        let sha256 = chain.leaf().sha256();
        self.change_notary(permitted, Deed::ChainUploaded { request: id, sha256 }).await?;
        let mut change = Change::new();
        // One of ours comes back: it is revocable as any other.
        let ours = Serial::from_slice(chain.leaf().serial()).ok().filter(|serial| {
            let known = self.store.get(&CERTIFICATES, serial.as_bytes()).ok().flatten();
            known.is_some_and(|row| row.value.certificate == chain.leaf().der())
        });
        let state = match ours {
            Some(certificate) => NotaryState::Issued { certificate, attempt: 0 },
            None => {
                change.put(&CHAINS, id.to_be_bytes(), &chain.to_pem());
                NotaryState::Uploaded { not_after: chain.leaf().validity().not_after() }
            }
        };
        change.update(&NOTARY_REQUESTS, id.to_be_bytes(), version, &NotaryRequest { state, ..request });
        self.store.commit(change).await?;
        tracing::info!(who = permitted.actor().who, request = id, "a chain was put to a request");
        Ok(())
    }

    /// Takes the certificates away from a request, which is outstanding again. One of ours stays valid.
    pub async fn remove_notary_chain(&self, permitted: &Permitted, id: u64) -> Result<(), RequestError> {
        let _alone = self.calls.alone(&order_of(id, 0)).await;
        let Versioned { value: request, version } = self.notary_row(id)?;
        if !matches!(request.state, NotaryState::Issued { .. } | NotaryState::Uploaded { .. }) {
            return Err(RequestError::Missing);
        }
        self.change_notary(permitted, Deed::ChainRemoved { request: id }).await?;
        let request = NotaryRequest { state: NotaryState::Outstanding, ..request };
        let mut change = Change::new();
        change.update(&NOTARY_REQUESTS, id.to_be_bytes(), version, &request);
        change.delete(&CHAINS, id.to_be_bytes());
        Ok(self.store.commit(change).await?)
    }

    /// Rejects a request. One that is rejected stays as it is.
    pub async fn reject_notary_request(&self, permitted: &Permitted, id: u64) -> Result<(), RequestError> {
        let _alone = self.calls.alone(&order_of(id, 0)).await;
        let Versioned { value: request, version } = self.notary_row(id)?;
        if request.state == NotaryState::Rejected {
            return Ok(());
        }
        if self.live(&request)?.is_some() {
            return Err(RequestError::Live);
        }
        let (digest, requester) = (hex(&sha256(parsed(id, &request)?.der())), request.requester.clone());
        let act = Act::RejectRequest { request: format!("notary:{id}"), digest, requester, why: String::new() };
        self.ca.note(act, permitted.actor()).await?;
        let mut change = Change::new();
        let request = NotaryRequest { state: NotaryState::Rejected, ..request };
        change.update(&NOTARY_REQUESTS, id.to_be_bytes(), version, &request);
        change.delete(&CHAINS, id.to_be_bytes());
        Ok(self.store.commit(change).await?)
    }

    /// Revokes the certificate of a request, if it is one of ours.
    pub async fn revoke_notary_request(&self, permitted: &Permitted, id: u64) -> Result<(), RequestError> {
        let NotaryState::Issued { certificate, .. } = self.notary_row(id)?.value.state else {
            return Err(RequestError::NotOurs);
        };
        let fate = Fate::Revoke { reason: None, invalidity: None };
        match self.act(permitted, &[certificate], fate).await {
            Ok(_) => Ok(()),
            Err(RevokeError::NotOurs(_)) => Err(RequestError::NotOurs),
            Err(error) => Err(Failure::from(error).into()),
        }
    }

    /// Deletes a request. A certificate of ours stays what it is, and can be found by its serial number.
    pub async fn delete_notary_request(&self, permitted: &Permitted, id: u64) -> Result<(), RequestError> {
        let _alone = self.calls.alone(&order_of(id, 0)).await;
        let Versioned { value: request, version } = self.notary_row(id)?;
        let der = parsed(id, &request)?.der().to_vec();
        self.change_notary(permitted, Deed::RequestDeleted { request: id }).await?;
        let mut change = Change::new();
        change.remove(&NOTARY_REQUESTS, id.to_be_bytes(), version);
        change.delete(&REQUESTS_BY_CSR, sha256(&der));
        change.delete(&CHAINS, id.to_be_bytes());
        self.store.commit(change).await?;
        tracing::info!(who = permitted.actor().who, request = id, "a request was deleted");
        Ok(())
    }

    /// The pipeline that issues by the authority of this number.
    fn signing(&self, authority: u64) -> Result<Pipeline, RequestError> {
        if authority == u64::from(CEREMONY) {
            return Ok(self.pipeline());
        }
        let number = u32::try_from(authority).ok().and_then(|number| AuthorityNumber::try_from(number).ok());
        match self.pipeline_of(number.ok_or(RequestError::Authority)?) {
            Err(IssueFailure::Missing(_)) => Err(RequestError::Authority),
            other => Ok(other?),
        }
    }

    /// The certificate of ours that a request has, unless it is revoked or over.
    fn live(&self, request: &NotaryRequest) -> Result<Option<CertificateRecord>, RequestError> {
        let NotaryState::Issued { certificate, .. } = request.state else { return Ok(None) };
        let row = self.store.get(&CERTIFICATES, certificate.as_bytes())?;
        let record = row.map(|row| row.value).filter(|record| record.revoked.is_none());
        let now = self.clock.now();
        let good = |record: &CertificateRecord| {
            Certificate::from_der(&record.certificate).is_ok_and(|read| now <= read.validity().not_after())
        };
        Ok(record.filter(good))
    }

    fn show(&self, permitted: &Permitted, id: u64, request: NotaryRequest) -> Result<Request, RequestError> {
        let (status, chain) = match &request.state {
            NotaryState::Issued { certificate, .. } => {
                let row = self.store.get(&CERTIFICATES, certificate.as_bytes())?;
                let lost =
                    || Failure::Internal(format!("the certificate {certificate} of a request is not in the store"));
                let record = row.ok_or_else(lost)?.value;
                match record.revoked {
                    Some(_) => (Status::Revoked, String::new()),
                    None => (Status::Active, self.whole_chain(permitted, &record)?),
                }
            }
            NotaryState::Outstanding => (Status::Outstanding, String::new()),
            NotaryState::Rejected => (Status::Rejected, String::new()),
            NotaryState::Uploaded { .. } => {
                let chain = self.store.get(&CHAINS, id.to_be_bytes())?;
                (Status::Active, chain.map_or(String::new(), |row| row.value))
            }
        };
        let account = request.requester.strip_prefix("notary:").and_then(|id| id.parse().ok());
        let email = account.map(|account| self.notary_email(account)).transpose()?.flatten();
        Ok(Request { id, csr: request.csr, chain, status, email: email.map(String::from) })
    }

    /// PEM of a certificate of ours, of those above it, and of the root.
    fn whole_chain(&self, permitted: &Permitted, record: &CertificateRecord) -> Result<String, RequestError> {
        let leaf = Certificate::from_der(&record.certificate).map_err(|error| Failure::Internal(error.to_string()))?;
        let number = AuthorityNumber::of_label(&record.issuer).map_or(CEREMONY, u32::from);
        Ok(leaf.to_pem() + &self.authority(permitted, number)?.chain.concat())
    }

    fn notary_row(&self, id: u64) -> Result<Versioned<NotaryRequest>, RequestError> {
        self.store.get(&NOTARY_REQUESTS, id.to_be_bytes())?.ok_or(RequestError::Missing)
    }
}

/// How many requests and certificates there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// Requests that nobody has decided.
    pub outstanding: u64,
    /// Certificates of requests, ours and others'.
    pub certificates: u64,
    /// Of these, those whose validity is over.
    pub expired: u64,
    /// Of these, those whose validity ends within 1, 7, 30 and 90 days.
    pub expiring: [u64; 4],
}

impl Counts {
    /// Days of [`Counts::expiring`].
    pub const DAYS: [u64; 4] = [1, 7, 30, 90];

    fn certificate(&mut self, not_after: UnixTime, now: UnixTime) {
        self.certificates += 1;
        self.expired += u64::from(not_after < now);
        for (days, count) in Self::DAYS.iter().zip(&mut self.expiring) {
            *count += u64::from((now..=now.plus(days * 86_400)).contains(&not_after));
        }
    }
}

impl Services {
    /// Counts requests and certificates, at most once a minute: whoever asks need not prove who he is.
    pub async fn notary_counts(&self) -> Result<Counts, Failure> {
        let mut kept = self.notary.counts.lock().await;
        let now = self.clock.now();
        if let Some((at, counts)) = *kept
            && now < at.plus(60)
        {
            return Ok(counts);
        }
        let store = self.store.clone();
        let counting = tokio::task::spawn_blocking(move || count(&store, now));
        let counts = counting.await.map_err(|error| Failure::Internal(error.to_string()))??;
        *kept = Some((now, counts));
        Ok(counts)
    }
}

fn count(store: &crate::store::Store, now: UnixTime) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = store.scan(&NOTARY_REQUESTS, (from, Bound::Unbounded), PAGE, false)?;
        after = rows.last().filter(|_| rows.len() == PAGE).map(|(key, _)| key.clone());
        for (_, row) in rows {
            counts.requests += 1;
            match row.value.state {
                NotaryState::Issued { certificate, .. } => {
                    let record = store.get(&CERTIFICATES, certificate.as_bytes())?.map(|row| row.value);
                    let record = record.filter(|record| record.revoked.is_none());
                    if let Some(read) = record.and_then(|record| Certificate::from_der(&record.certificate).ok()) {
                        counts.certificate(read.validity().not_after(), now);
                    }
                }
                NotaryState::Outstanding => counts.outstanding += 1,
                NotaryState::Rejected => {}
                NotaryState::Uploaded { not_after } => counts.certificate(not_after, now),
            }
        }
        if after.is_none() {
            return Ok(counts);
        }
    }
}

/// Whether it lies within the scope: one's own are those that one sent.
fn is_within(permitted: &Permitted, request: &NotaryRequest) -> bool {
    permitted.scope() == Scope::Everything || permitted.actor().who == request.requester
}

/// The CSR of a request. What was stored was read before.
fn parsed(id: u64, request: &NotaryRequest) -> Result<Csr, RequestError> {
    let read = chain::first_block(&request.csr, "CERTIFICATE REQUEST").ok().and_then(|der| Csr::from_der(&der).ok());
    read.ok_or_else(|| Failure::Internal(format!("the CSR of request {id} cannot be read")).into())
}

/// Whether a PEM block of ours holds this.
fn is_of(pem: &str, der: &[u8]) -> bool {
    chain::first_block(pem, "CERTIFICATE REQUEST").is_ok_and(|own| own == der)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// Requests that are read at a time.
const PAGE: usize = 100;

/// How often a number is tried against others at the same time.
const CONFLICTS: usize = 64;

macro_rules! failures {
    ($($error:ty)*) => {$(
        impl From<$error> for RequestError {
            fn from(error: $error) -> Self {
                Self::Failure(error.into())
            }
        }
    )*};
}

failures!(CaError CommitError StoreError);
