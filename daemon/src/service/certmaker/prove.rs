//! Control of every name of a challenge, shown over the network: all at a time, one attempt each. The
//! client asks again.

use policy::evidence::{Method, NameEvidence};
use policy::name::Name;
use policy::profile::{CaaRule, Profile};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::{Asked, CertMaker, CertMakerError, Challenge, Failure, unseen};
use crate::store::{Change, CommitError};
use crate::validation::certmaker::{TokenAttempt, records};
use crate::validation::{CaaQuestion, Failure as NotShown, Wildcard};

impl CertMaker {
    /// The evidence for each name, or the first that failed, in the order in which they were asked for.
    pub(super) async fn prove(
        &self,
        account: &str,
        profile: &Profile,
        challenge: &Challenge,
        asked: &Asked,
        port: Option<u16>,
    ) -> Result<Vec<NameEvidence>, CertMakerError> {
        let (limits, now) = (&self.services.limits, self.services.clock.now());
        let mut attempts = JoinSet::new();
        for (place, name) in asked.names.iter().enumerate().filter(|(_, name)| !name.is_loopback()) {
            limits.may_validate(account, name, now)?;
            let turn = limits.validation(account)?;
            let (this, challenge, name, caa) = (self.clone(), challenge.clone(), name.clone(), profile.caa());
            let attempt = async move {
                let outcome = this.attempt(&challenge, &name, port, caa).await;
                drop(turn);
                (place, outcome)
            };
            attempts.spawn(attempt.in_current_span());
        }
        let mut outcomes: Vec<_> = asked.names.iter().map(|name| Ok(unseen(name, now))).collect();
        while let Some(ended) = attempts.join_next().await {
            let (place, outcome) = ended.map_err(|error| Failure::Internal(format!("a validation failed: {error}")))?;
            outcomes[place] = outcome;
        }
        for (name, outcome) in asked.names.iter().zip(&outcomes).filter(|(name, _)| !name.is_loopback()) {
            self.count(account, name, outcome.as_ref().err()).await?;
        }
        let sentence =
            |name: &Name, failure: NotShown| CertMakerError::Unproved(sentence(challenge.method, name, &failure));
        asked.names.iter().zip(outcomes).map(|(name, outcome)| outcome.map_err(|why| sentence(name, why))).collect()
    }

    /// Control of one name, and whether CAA lets us issue for it.
    async fn attempt(
        &self,
        challenge: &Challenge,
        name: &Name,
        port: Option<u16>,
        caa: CaaRule,
    ) -> Result<NameEvidence, NotShown> {
        // Nobody closes the semaphore.
        let _turn = self.network.acquire().await;
        let (base, method) = (name.base(), challenge.method);
        let attempt = TokenAttempt { name: &base, method, port, token: &challenge.token };
        let shown = self.validator.validate_token(&attempt).await?;
        let now = self.services.clock.now();
        let caa = match (&base, caa) {
            (Name::Dns(base), CaaRule::Check) => {
                let wildcard = if name.is_wildcard() { Wildcard::Yes } else { Wildcard::No };
                // No record can name an account that has no URL.
                let question = CaaQuestion { name: base, wildcard, method, account: "", now };
                Some(self.validator.caa(&question).await?)
            }
            _ => None,
        };
        let validator = shown.validator.to_owned();
        Ok(NameEvidence { name: name.clone(), method, at: now, validator, seen: Some(shown.seen), caa })
    }

    /// Keeps count of failures, so that who never succeeds is paused.
    async fn count(&self, account: &str, name: &Name, failure: Option<&NotShown>) -> Result<(), CertMakerError> {
        let (services, mut change) = (&self.services, Change::new());
        match failure {
            Some(failure) => {
                services.limits.failed(&mut change, account, name, &failure.detail, services.clock.now())?;
            }
            None => services.limits.succeeded(&mut change, account, name)?,
        }
        if change.is_empty() {
            return Ok(());
        }
        match services.store.commit(change).await {
            // Somebody else counted at the same time.
            Ok(()) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The failure in CertMaker's words, and then ours.
fn sentence(method: Method, name: &Name, failure: &NotShown) -> String {
    let why = &failure.detail;
    match (method, name) {
        (Method::CertMakerDns01, _) => {
            let [record, _] = records(&name.base());
            format!("DNS check of TXT record for {record} did not match expected token: {why}")
        }
        (_, Name::Dns(_)) => format!("failed HTTP-01 validation for domain {name}: {why}"),
        (_, Name::Ip(_)) => format!("failed HTTP-01 validation for IP {name}: {why}"),
    }
}
