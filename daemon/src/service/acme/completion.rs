//! Making the certificate of an order, and going on with it when nobody waits any more: exactly one
//! certificate for each order, whatever is lost in between (J3).

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::evidence::{CaaCheck, MAX_CAA_AGE, NameEvidence};
use policy::key::PublicKey;
use policy::name::Name;
use policy::profile::CaaRule;
use tokio::task::JoinSet;

use super::Acme;
use super::error::AcmeError;
use crate::issuance::Submission;
use crate::issuance::orders::{ORDERS, OrderFailure, UNDERWAY, Underway};
use crate::service::metrics::Outcome;
use crate::store::{Change, CommitError, Versioned};
use crate::validation::{CaaQuestion, Failure, Wildcard};

/// A CAA check must last so many seconds more than it takes to sign.
const CAA_MARGIN: u64 = 600;

/// Pauses between two attempts in the background: the first, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long an order is tried at least once it was seen to be processing, in seconds.
const LEAST: u64 = 3600;

/// How many orders are read at a time when the daemon starts.
const PAGE: usize = 256;

impl Acme {
    /// One issuance. CAA checks that are too old are made again (BR 4.2.2.1).
    pub(super) async fn issue(self: &Acme, submission: &Submission) -> Result<(), AcmeError> {
        let mut submission = submission.clone();
        let rule =
            self.services.profiles.now().get(&submission.profile).map_or(CaaRule::Check, |profile| profile.caa());
        if rule == CaaRule::Check {
            self.check_caa(&mut submission.record.names, &submission.record.actor).await?;
        }
        let (profile, begun) = (submission.profile.clone(), Instant::now());
        let issued = self.services.pipeline().issue(submission).await;
        self.services.metrics.issuance("acme", &profile, Outcome::from(&issued), begun.elapsed());
        Ok(issued.map(drop)?)
    }

    /// Lets the order be seen as processing. From then on its completion is promised.
    pub(super) async fn mark_processing(&self, id: &str, submission: &Submission) -> Result<(), AcmeError> {
        let row = self.services.store.get(&ORDERS, id)?.ok_or(AcmeError::NotFound("order"))?;
        let mut order = row.value;
        if order.certificate.is_some() {
            return Err(AcmeError::Completed);
        }
        order.processing = Some(self.now());
        let underway = Underway { key: submission.key.spki().to_vec(), record: submission.record.clone() };
        let mut change = Change::new();
        change.update(&ORDERS, id, row.version, &order);
        change.put(&UNDERWAY, id, &underway);
        self.services.store.commit(change).await?;
        self.services.metrics.acme.order_processing();
        tracing::info!(order = id, account = order.account, "the token is slow: an order is processing");
        Ok(())
    }

    /// Goes on until there is a certificate, or there can be none. Whoever calls it holds the order.
    pub(super) async fn complete(&self, id: &str, submission: &Submission, first: Result<(), AcmeError>) {
        let mut outcome = first;
        let mut pause = PAUSE;
        let done = loop {
            let failure = match outcome {
                Ok(()) | Err(AcmeError::Completed) => break Ok(()),
                Err(error) => match self.is_over(id, error) {
                    Ok(failure) => failure,
                    Err(error) => break Err(error),
                },
            };
            if let Some(failure) = failure {
                break self.fail_order(id, failure).await;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            outcome = self.issue(submission).await;
        };
        let mut change = Change::new();
        change.delete(&UNDERWAY, id);
        let forgotten = self.services.store.commit(change).await.map_err(AcmeError::from);
        if let Err(error) = done.and(forgotten) {
            // It stays among those under way, and the next start takes it up again.
            tracing::error!(%error, order = id, "an order that is processing cannot go on");
        }
    }

    /// Why the order can never be completed, if `error` or the time says so.
    fn is_over(&self, id: &str, error: AcmeError) -> Result<Option<OrderFailure>, AcmeError> {
        let kind = match &error {
            AcmeError::BadCsr(_) => "badCSR",
            AcmeError::Failures(_) => "caa",
            AcmeError::InvalidProfile(_) => "invalidProfile",
            AcmeError::RejectedIdentifiers(_) => "rejectedIdentifier",
            error => {
                let Some(row) = self.services.store.get(&ORDERS, id)? else {
                    return Err(AcmeError::Internal("an order that is processing is gone".into()));
                };
                let since = row.value.processing.unwrap_or(row.value.created);
                if self.now() <= row.value.expires.max(since.plus(LEAST)) {
                    tracing::warn!(%error, order = id, "an order is still processing");
                    return Ok(None);
                }
                let detail = "the certificate could not be made in time: make a new order".to_owned();
                return Ok(Some(OrderFailure { kind: "serverInternal".to_owned(), detail }));
            }
        };
        Ok(Some(OrderFailure { kind: kind.to_owned(), detail: error.in_full() }))
    }

    /// Notes that the order can never be completed, unless it is.
    pub(super) async fn fail_order(&self, id: &str, failure: OrderFailure) -> Result<(), AcmeError> {
        loop {
            let Some(Versioned { value: mut order, version }) = self.services.store.get(&ORDERS, id)? else {
                return Ok(());
            };
            if order.certificate.is_some() || order.failed.is_some() {
                return Ok(());
            }
            order.failed = Some(failure.clone());
            order.processing = None;
            let mut change = Change::new();
            change.update(&ORDERS, id, version, &order);
            match self.services.store.commit(change).await {
                Err(CommitError::Conflict(_)) => {}
                other => return Ok(other?),
            }
        }
    }

    /// Takes up the orders that were processing when the daemon stopped.
    pub(super) fn resume_orders(self: &Arc<Self>) -> Result<(), AcmeError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = self.services.store.scan(&UNDERWAY, (from, Bound::Unbounded), PAGE, false)?;
            for (key, row) in &rows {
                let (acme, id) = (self.clone(), String::from_utf8_lossy(key).into_owned());
                let underway = row.value.clone();
                tokio::spawn(async move {
                    if let Err(error) = acme.resume_order(&id, underway).await {
                        tracing::error!(%error, order = id, "an order that was processing cannot be taken up");
                    }
                });
            }
            match rows.into_iter().last() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }

    async fn resume_order(self: Arc<Self>, id: &str, underway: Underway) -> Result<(), AcmeError> {
        let _held = self.lock_order(id).await;
        let Some(row) = self.services.store.get(&ORDERS, id)? else {
            let mut change = Change::new();
            change.delete(&UNDERWAY, id);
            return Ok(self.services.store.commit(change).await?);
        };
        let order = row.value;
        let key = PublicKey::from_spki(&underway.key)
            .map_err(|error| AcmeError::Internal(format!("the key of an order cannot be read: {error}")))?;
        let submission = Submission {
            common_name: self.common_name(&order.profile, &underway.record),
            profile: order.profile,
            key,
            names: order.names,
            requested: order.requested,
            record: underway.record,
        };
        // Whatever became of it before, the store has caught up with the journal before it is asked
        // for again.
        let outcome = self.issue(&submission).await;
        self.complete(id, &submission, outcome).await;
        Ok(())
    }

    /// Asks CAA again for each name whose check is too old.
    async fn check_caa(&self, names: &mut [NameEvidence], actor: &str) -> Result<(), AcmeError> {
        let now = self.now();
        let account = self.account_url(actor.strip_prefix("acme:").unwrap_or(actor));
        let good = |caa: &CaaCheck| now.0.saturating_sub(caa.at.0) <= MAX_CAA_AGE - CAA_MARGIN;
        let mut checks: JoinSet<(usize, Result<CaaCheck, Failure>)> = JoinSet::new();
        for (index, evidence) in names.iter().enumerate() {
            let Name::Dns(name) = &evidence.name else { continue };
            // Whoever registered a name vouches for it.
            if !evidence.method.is_challenge() || evidence.caa.as_ref().is_some_and(good) {
                continue;
            }
            let (validator, network) = (self.validator.clone(), self.network.clone());
            let (name, method, account) = (name.clone(), evidence.method, account.clone());
            checks.spawn(async move {
                // The semaphore lives as long as this task and is never closed.
                let _turn = network.acquire().await;
                let wildcard = if name.is_wildcard() { Wildcard::Yes } else { Wildcard::No };
                let question = CaaQuestion { name: &name.base(), wildcard, method, account: &account, now };
                (index, validator.caa(&question).await)
            });
        }
        let mut failures = Vec::new();
        while let Some(done) = checks.join_next().await {
            match done {
                Ok((index, Ok(check))) => names[index].caa = Some(check),
                Ok((index, Err(failure))) => failures.push((index, failure)),
                Err(error) => return Err(AcmeError::Internal(format!("a CAA check failed: {error}"))),
            }
        }
        if failures.is_empty() {
            return Ok(());
        }
        failures.sort_by_key(|(index, _)| *index);
        let failures = failures.into_iter().map(|(index, failure)| (names[index].name.clone(), failure));
        Err(AcmeError::Failures(failures.collect()))
    }
}
