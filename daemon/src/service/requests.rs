//! Requests that wait for approval: what a profile with `[approval]` makes of a wish instead of a
//! certificate. Somebody else than the requester decides; the decision is journalled before it counts.

#[cfg(test)]
mod tests;

use std::ops::Bound;
use std::time::Instant;

use hsm::wire::Act;
use policy::csr::Csr;
use policy::effects::UnixTime;
use policy::evidence::{AuthorizationRecord, Method};
use policy::profile::Decision;
use policy::serial::Serial;

use super::Services;
use super::issue::{IssueFailure, Issued, Wanted, WantedKey, evidence, refused};
use super::metrics::Outcome;
use super::peer::hex;
use super::rights::{Permitted, Scope};
use crate::issuance::requests::{REQUESTS, RequestRecord, order_of};
use crate::issuance::{Released, Submission};
use crate::store::tables::CERTIFICATES;
use crate::store::{Change, CommitError, StoreError, Versioned};

pub use crate::issuance::requests::{Asked, RequestState};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id, in the order in which they were made.
    pub id: String,
    /// SHA-256 of what is asked for, hexadecimal.
    pub digest: String,
    /// SHA-256 of the key that is to be certified, hexadecimal.
    pub spki: String,
    /// Whether nobody can decide it any more although nobody has.
    pub expired: bool,
    /// The rest of it.
    pub record: RequestRecord,
}

impl Request {
    fn new(id: String, record: RequestRecord, now: UnixTime) -> Self {
        let open = matches!(record.state, RequestState::Pending | RequestState::Approved { .. });
        // What was stored was read before.
        let spki = Csr::from_der(&record.asked.csr).map_or(String::new(), |csr| hex(&csr.key().spki_sha256()));
        Self { id, digest: record.asked.digest(), spki, expired: open && record.expires < now, record }
    }

    /// `pending`, `approved`, `issued`, `rejected` or `expired`.
    pub fn status(&self) -> &'static str {
        match self.record.state {
            _ if self.expired => "expired",
            RequestState::Approved { .. } => "approved",
            RequestState::Issued { .. } => "issued",
            RequestState::Pending => "pending",
            RequestState::Rejected { .. } => "rejected",
        }
    }
}

/// One page of requests, the latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The requests.
    pub requests: Vec<Request>,
    /// The id that the next page comes before, if there is more to look at.
    pub next: Option<String>,
}

/// How long a request waits, in seconds: seven days.
pub const LIFETIME: u64 = 7 * 86_400;

/// Most requests on one page.
pub const MOST: usize = 200;

/// Most requests that are looked at for one page.
const WORK: usize = 1000;

impl Services {
    /// Makes a request that waits for approval, whether the profile asks for one or not: whoever may
    /// not have certificates issued may ask somebody who may.
    pub async fn submit(&self, permitted: &Permitted, wanted: &Wanted) -> Result<Request, IssueFailure> {
        let WantedKey::Csr(csr) = &wanted.key else {
            return Err(refused("a request waits, and a key that is made here cannot wait: send a CSR"));
        };
        let (submission, decision) = self.decide(permitted, wanted, csr.key().clone())?;
        if let Decision::Refuse(refusal) = decision {
            return Err(refusal.into());
        }
        match self.ask_human(permitted, wanted, submission).await? {
            IssueFailure::Pending(id) => Ok(self.read_request(&id)?.0),
            other => Err(other),
        }
    }

    /// Makes a request of what `submission` holds, and says so.
    pub(super) async fn ask_human(
        &self,
        permitted: &Permitted,
        wanted: &Wanted,
        submission: Submission,
    ) -> Result<IssueFailure, IssueFailure> {
        let WantedKey::Csr(csr) = &wanted.key else {
            return Err(IssueFailure::Internal("a request without a CSR".to_owned()));
        };
        let now = self.clock.now();
        let record = RequestRecord {
            requester: permitted.actor().who,
            created: now,
            expires: now.plus(LIFETIME),
            asked: Asked {
                profile: submission.profile,
                csr: csr.der().to_vec(),
                names: submission.names,
                common_name: submission.common_name,
                requested: submission.requested,
                replaces: submission.record.replaces,
            },
            state: RequestState::Pending,
        };
        let random: [u8; 11] = self.random.bytes().map_err(|error| IssueFailure::Internal(error.to_string()))?;
        // Time first, so that ids are in the order in which requests were made.
        let id = format!("{:010x}{}", now.0, hex(&random));
        let mut change = Change::new();
        change.insert(&REQUESTS, &id, &record);
        self.store.commit(change).await.map_err(commit)?;
        tracing::info!(
            request = id,
            who = record.requester,
            profile = record.asked.profile,
            "a request waits for approval"
        );
        Ok(IssueFailure::Pending(id))
    }

    /// One page of requests, the latest first, those with this status if one is given.
    pub fn requests(
        &self,
        permitted: &Permitted,
        status: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let limit = limit.clamp(1, MOST);
        let before = before.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
        let rows = self.store.scan(&REQUESTS, (Bound::Unbounded, before), WORK + 1, true)?;
        let mut requests = Vec::new();
        let mut looked_at = None;
        let mut more = false;
        for (number, (key, row)) in rows.into_iter().enumerate() {
            if requests.len() == limit || number == WORK {
                more = true;
                break;
            }
            let request = Request::new(String::from_utf8_lossy(&key).into_owned(), row.value, self.clock.now());
            looked_at = Some(request.id.clone());
            if is_within(permitted, &request) && status.is_none_or(|status| status == request.status()) {
                requests.push(request);
            }
        }
        Ok(Page { requests, next: looked_at.filter(|_| more) })
    }

    /// The request with this id.
    pub fn request(&self, permitted: &Permitted, id: &str) -> Result<Request, IssueFailure> {
        let request = self.read_request(id)?.0;
        if is_within(permitted, &request) { Ok(request) } else { Err(missing()) }
    }

    /// Approves a request, of which the approver saw `digest`, and issues its certificate. Asked again
    /// after a lost answer, it answers with the certificate.
    pub async fn approve(&self, permitted: &Permitted, id: &str, digest: &str) -> Result<Issued, IssueFailure> {
        let order = order_of(id);
        let _alone = self.calls.alone(&order).await;
        let begun = Instant::now();
        let approved = self.approve_alone(permitted, id, digest, order).await;
        if let Ok((request, _)) = self.read_request(id) {
            let outcome = Outcome::from(&approved);
            self.metrics.issuance("admin", &request.record.asked.profile, outcome, begun.elapsed());
        }
        approved
    }

    async fn approve_alone(
        &self,
        permitted: &Permitted,
        id: &str,
        digest: &str,
        order: String,
    ) -> Result<Issued, IssueFailure> {
        let (request, version) = self.read_request(id)?;
        let actor = permitted.actor();
        match &request.record.state {
            RequestState::Issued { certificate, .. } => return self.issued_for(*certificate),
            RequestState::Rejected { by, .. } => {
                return Err(IssueFailure::Conflict(format!("the request was rejected by {by}")));
            }
            RequestState::Approved { .. } | RequestState::Pending => {}
        }
        decidable(&request, digest)?;
        if request.record.requester == actor.who {
            return Err(refused("a request is approved by somebody else than the one who made it"));
        }
        // Sealed, it stays as it is.
        self.can_sign()?;
        let asked = &request.record.asked;
        let csr = Csr::from_der(&asked.csr)
            .map_err(|error| IssueFailure::Internal(format!("the CSR of request {id} cannot be read: {error}")))?;
        let record = AuthorizationRecord {
            names: evidence(&asked.names, Method::Administrator, self.clock.now()),
            subject: asked.common_name.is_some().then_some(Method::Administrator),
            replaces: asked.replaces,
            node: None,
            requester: Some(request.record.requester.clone()),
            order: Some(order),
            actor: actor.who.clone(),
            request_id: actor.request_id.clone(),
        };
        let profile = self.profile(&asked.profile)?;
        let decision = profile.decide(csr.key(), &asked.names, asked.common_name.as_deref(), &record, self.clock.now());
        if let Decision::Refuse(refusal) = decision {
            return Err(refusal.into());
        }
        profile.allows_validity(asked.requested, self.issuer.now().validity(), self.clock.now())?;
        if request.record.state == RequestState::Pending {
            let (request_id, requester) = (id.to_owned(), request.record.requester.clone());
            let act = Act::ApproveRequest { request: request_id, digest: request.digest.clone(), requester };
            self.decided(act, permitted, &request, version, |by, at| RequestState::Approved { by, at }).await?;
            tracing::info!(request = id, who = actor.who, "a request was approved");
        }
        let submission = Submission {
            profile: asked.profile.clone(),
            key: csr.key().clone(),
            names: asked.names.clone(),
            common_name: asked.common_name.clone(),
            requested: asked.requested,
            record,
        };
        let Released { serial, certificate } = self.pipeline().issue(submission).await?;
        Ok(Issued { serial, chain: self.chain(&certificate)?, certificate, private_key: None })
    }

    /// Rejects a request. One that is rejected stays as it is.
    pub async fn reject(
        &self,
        permitted: &Permitted,
        id: &str,
        digest: &str,
        why: &str,
    ) -> Result<Request, IssueFailure> {
        let _alone = self.calls.alone(&order_of(id)).await;
        let (request, version) = self.read_request(id)?;
        match &request.record.state {
            RequestState::Rejected { .. } => return Ok(request),
            RequestState::Approved { by, .. } | RequestState::Issued { by, .. } => {
                return Err(IssueFailure::Conflict(format!(
                    "the request was approved by {by}: revoke its certificate"
                )));
            }
            RequestState::Pending => decidable(&request, digest)?,
        }
        let (requester, digest) = (request.record.requester.clone(), request.digest.clone());
        let why = why.to_owned();
        let act = Act::RejectRequest { request: id.to_owned(), digest, requester, why: why.clone() };
        self.decided(act, permitted, &request, version, |by, at| RequestState::Rejected { by, at, why }).await?;
        tracing::info!(request = id, who = permitted.actor().who, "a request was rejected");
        Ok(self.read_request(id)?.0)
    }

    /// Journals a decision, then lets it count.
    async fn decided(
        &self,
        act: Act,
        permitted: &Permitted,
        request: &Request,
        version: u64,
        state: impl FnOnce(String, UnixTime) -> RequestState,
    ) -> Result<(), IssueFailure> {
        let actor = permitted.actor();
        let record = RequestRecord { state: state(actor.who.clone(), self.clock.now()), ..request.record.clone() };
        self.ca.note(act, actor).await.map_err(|error| match super::Failure::from(error) {
            super::Failure::Unavailable(why) => IssueFailure::Unavailable(why),
            other => IssueFailure::Internal(other.to_string()),
        })?;
        let mut change = Change::new();
        change.update(&REQUESTS, &request.id, version, &record);
        self.store.commit(change).await.map_err(commit)
    }

    fn read_request(&self, id: &str) -> Result<(Request, u64), IssueFailure> {
        if !is_id(id) {
            return Err(missing());
        }
        let Versioned { value, version } = self.store.get(&REQUESTS, id)?.ok_or_else(missing)?;
        Ok((Request::new(id.to_owned(), value, self.clock.now()), version))
    }

    fn issued_for(&self, serial: Serial) -> Result<Issued, IssueFailure> {
        let row = self.store.get(&CERTIFICATES, serial.as_bytes())?;
        let lost = || IssueFailure::Internal(format!("the certificate {serial} of a request is not in the store"));
        let certificate = row.ok_or_else(lost)?.value.certificate;
        Ok(Issued { serial, chain: self.chain(&certificate)?, certificate, private_key: None })
    }
}

/// Whether it lies within the scope: one's own are those that one made.
fn is_within(permitted: &Permitted, request: &Request) -> bool {
    permitted.scope() == Scope::Everything || permitted.actor().who == request.record.requester
}

fn missing() -> IssueFailure {
    IssueFailure::Missing("there is no such request".to_owned())
}

/// Whether somebody can decide it now, having seen what this digest names.
fn decidable(request: &Request, digest: &str) -> Result<(), IssueFailure> {
    if request.expired {
        return Err(IssueFailure::Conflict("the request has expired: make a new one".to_owned()));
    }
    if request.digest != digest {
        let why = "the digest is not that of what is asked for: look at the request again";
        return Err(IssueFailure::Conflict(why.to_owned()));
    }
    Ok(())
}

fn commit(error: CommitError) -> IssueFailure {
    match error {
        CommitError::Conflict(_) => IssueFailure::Conflict(format!("{error}: try again")),
        CommitError::Store(error) => error.into(),
    }
}

/// What [`Request::status`] can be.
pub const STATUSES: [&str; 5] = ["pending", "approved", "issued", "rejected", "expired"];

/// Whether a text can be the id of a request.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// Characters of an id.
const ID_LENGTH: usize = 32;
