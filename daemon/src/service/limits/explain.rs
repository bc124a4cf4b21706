//! Where somebody stands with each limit, and how he is released.

use std::net::IpAddr;
use std::ops::Bound;

use policy::effects::UnixTime;
use policy::name::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failures::{FAILURES, FAILURES_BY_NAME, FailureRecord, by_account, forget, split};
use super::gcra::{Bucket, interval};
use super::kept::BUCKETS;
use super::{ALL, Kind, Limit, Limits, MAX_VALIDATIONS, Subject, key, lock};
use crate::config::{Rate, Renewals};
use crate::service::Services;
use crate::service::administrators::Permitted;
use crate::store::{Change, CommitError, StoreError};

/// Where an account, an address or a name stands.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Explained {
    /// Whose limits these are.
    pub subject: String,
    /// What that is.
    pub kind: Kind,
    /// Every limit that applies, those that are off included.
    pub limits: Vec<Standing>,
    /// Validations that failed lately, at most [`MOST`].
    pub failing: Vec<Failing>,
}

/// Where one limit stands.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "LimitStanding")]
pub struct Standing {
    /// Which limit.
    pub limit: Limit,
    /// Who is counted together: an account, a network, a registered name, or `all`.
    pub counted: String,
    /// How much is allowed; nothing if the limit is off, or the address exempt.
    pub rate: Option<String>,
    /// How many are possible now.
    pub left: Option<u32>,
    /// Seconds since 1970 at which the next one is possible, if none is.
    pub next_at: Option<u64>,
    /// Seconds since 1970 at which nothing is missing any more, if something is.
    pub full_at: Option<u64>,
}

/// Validations of one account for one name that failed lately.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Failing {
    /// The account.
    pub account: String,
    /// The name.
    pub name: String,
    /// How many failed in a row.
    pub in_a_row: u32,
    /// When the last one failed, in seconds since 1970.
    pub last: u64,
    /// Why.
    pub why: String,
    /// Since when it is paused, in seconds since 1970, if it is.
    pub paused: Option<u64>,
}

/// A limit as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Rule {
    /// Which.
    pub limit: Limit,
    /// How much is allowed; nothing if it is off.
    pub allowed: Option<String>,
    /// Requests that it refused since the start.
    pub refused: u64,
}

/// What was given back.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Released {
    /// Whose limits these are.
    pub subject: String,
    /// Limits of which something was missing.
    pub limits: Vec<Limit>,
    /// Accounts and names whose failures are forgotten.
    pub failing: Vec<Failing>,
}

/// Which failures are to be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// All.
    All,
    /// Those that are paused.
    Paused,
}

/// Somebody was not released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// The store failed, or a validation ended at the same time.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// There was nothing to release.
    #[error("nothing is held against {0}: see `signetctl limits explain {0}`")]
    Nothing(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Most failures in one answer.
pub const MOST: usize = 500;

impl Services {
    /// Every limit as it is configured.
    pub fn limit_rules(&self, _permitted: &Permitted) -> Vec<Rule> {
        Limit::ALL.into_iter().map(|limit| self.limits.rule(limit)).collect()
    }

    /// Every limit that applies to somebody, and where it stands.
    pub fn explain_limits(&self, _permitted: &Permitted, subject: &Subject) -> Result<Explained, StoreError> {
        let now = self.clock.now();
        let mut limits = Vec::new();
        for (limit, counted) in self.limits.buckets_of(subject) {
            limits.push(self.limits.standing(limit, counted, now)?);
        }
        Ok(Explained {
            subject: subject.to_string(),
            kind: subject.kind(),
            limits,
            failing: self.limits.failing(subject)?,
        })
    }

    /// Failures by account, at most [`MOST`].
    pub fn failing_validations(&self, _permitted: &Permitted, query: Query) -> Result<Vec<Failing>, StoreError> {
        let mut found = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = self.store.scan(&FAILURES, (from, Bound::Unbounded), MOST, false)?;
            after = rows.last().filter(|_| rows.len() == MOST).map(|(key, _)| key.clone());
            for (key, row) in rows {
                if query == Query::All || row.value.paused.is_some() {
                    found.extend(split(&key).map(|(account, name)| failing(account, name, row.value)));
                }
            }
            if after.is_none() || found.len() >= MOST {
                found.truncate(MOST);
                return Ok(found);
            }
        }
    }

    /// Gives somebody back what is missing, and ends his pauses.
    pub async fn release_limits(&self, permitted: &Permitted, subject: &Subject) -> Result<Released, ReleaseError> {
        let now = self.clock.now();
        let failing = self.limits.failing(subject)?;
        let mut change = Change::new();
        for one in &failing {
            forget(&mut change, &one.account, &one.name);
        }
        let mut limits = Vec::new();
        // What all share is not given back for the sake of one.
        for (limit, counted) in self.limits.buckets_of(subject).into_iter().filter(|(_, counted)| counted != ALL) {
            if self.limits.bucket(limit, &counted)?.is_full(now) {
                continue;
            }
            limits.push(limit);
            change.delete(&BUCKETS, key(limit, &counted));
            self.limits.memory_of(limit).forget(&key(limit, &counted));
        }
        if limits.is_empty() && failing.is_empty() {
            return Err(ReleaseError::Nothing(subject.to_string()));
        }
        self.store.commit(change).await?;
        let who = permitted.actor().who;
        tracing::info!(who, %subject, limits = limits.len(), failing = failing.len(), "limits released");
        Ok(Released { subject: subject.to_string(), limits, failing })
    }
}

impl Limits {
    /// The buckets that somebody's requests are taken from, each with who is counted together.
    fn buckets_of(&self, subject: &Subject) -> Vec<(Limit, String)> {
        let all = |limit| (limit, ALL.to_owned());
        match subject {
            Subject::Account(id) if id.contains('@') => vec![(Limit::SignInsPerAccount, id.clone())],
            Subject::Account(id) => vec![(Limit::OrdersPerAccount, id.clone()), all(Limit::Orders)],
            Subject::Address(address) => {
                let network = self.network(*address);
                let by_address = [
                    Limit::RequestsPerAddress,
                    Limit::AccountsPerAddress,
                    Limit::OrdersPerAddress,
                    Limit::SignInsPerAddress,
                ];
                let mut buckets: Vec<_> = by_address.map(|limit| (limit, network.clone())).into();
                buckets.push((Limit::OrdersPerName, self.registered(&Name::Ip(*address))));
                buckets.extend([all(Limit::Accounts), all(Limit::Orders)]);
                buckets
            }
            Subject::Name(name) => {
                vec![(Limit::OrdersPerName, self.registered(&Name::Dns(name.clone()))), all(Limit::Orders)]
            }
        }
    }

    fn standing(&self, limit: Limit, counted: String, now: UnixTime) -> Result<Standing, StoreError> {
        let Some(rate) = self.rate(limit).filter(|_| !self.is_exempt(limit, &counted)) else {
            return Ok(Standing { limit, counted, rate: None, left: None, next_at: None, full_at: None });
        };
        let bucket = self.bucket(limit, &counted)?;
        let left = bucket.left(rate, now);
        let missing = u64::from(rate.burst() - left) * interval(rate);
        let next = bucket.take(rate, now).err().map(|wait| now.plus(wait.as_secs_f64().ceil() as u64).0);
        let full_at = (!bucket.is_full(now)).then(|| bucket.full_at.div_ceil(1_000_000));
        // A clock that was set back leaves a time that the rate cannot have.
        let full_at = full_at.map(|at| at.min(now.plus(missing.div_ceil(1_000_000)).0));
        Ok(Standing { limit, counted, rate: Some(rate.to_string()), left: Some(left), next_at: next, full_at })
    }

    /// What of a bucket is known, in memory or in the store.
    fn bucket(&self, limit: Limit, counted: &str) -> Result<Bucket, StoreError> {
        let key = key(limit, counted);
        let known = self.memory_of(limit).get(&key);
        known.map_or_else(|| self.read(&key), Ok)
    }

    fn memory_of(&self, limit: Limit) -> std::sync::MutexGuard<'_, super::Memory> {
        lock(if limit == Limit::RequestsPerAddress { &self.requests } else { &self.buckets })
    }

    fn is_exempt(&self, limit: Limit, counted: &str) -> bool {
        let by_address = matches!(
            limit,
            Limit::AccountsPerAddress | Limit::OrdersPerAddress | Limit::RequestsPerAddress | Limit::SignInsPerAddress
        );
        let address = counted.split('/').next().and_then(|address| address.parse::<IpAddr>().ok());
        by_address && address.is_some_and(|address| self.counted(Some(address)).is_none())
    }

    fn rate(&self, limit: Limit) -> Option<Rate> {
        match limit {
            Limit::Accounts => self.rules.accounts,
            Limit::AccountsPerAddress => self.rules.accounts_per_address,
            Limit::Failures => self.rules.failures,
            Limit::Orders => self.rules.orders,
            Limit::OrdersPerAccount => self.rules.orders_per_account,
            Limit::OrdersPerAddress => self.rules.orders_per_address,
            Limit::OrdersPerName => self.rules.orders_per_name,
            Limit::RequestsPerAddress => self.rules.requests_per_address,
            Limit::SignInsPerAccount => self.rules.sign_ins_per_account,
            Limit::SignInsPerAddress => self.rules.sign_ins_per_address,
            Limit::ConnectionsPerAddress | Limit::PauseAfter | Limit::Validations | Limit::ValidationsPerAccount => {
                None
            }
        }
    }

    fn rule(&self, limit: Limit) -> Rule {
        let at_a_time = |most: Option<u32>| most.map(|most| format!("{most} at a time"));
        let allowed = match limit {
            Limit::PauseAfter => self.rules.pause_after.map(|most| format!("{most} in a row")),
            Limit::ConnectionsPerAddress => at_a_time(self.rules.connections_per_address),
            Limit::Validations => at_a_time(Some(MAX_VALIDATIONS)),
            Limit::ValidationsPerAccount => at_a_time(self.rules.validations_per_account),
            limit => self.rate(limit).map(|rate| match (limit, self.rules.renewals) {
                (
                    Limit::Orders | Limit::OrdersPerAccount | Limit::OrdersPerAddress | Limit::OrdersPerName,
                    Renewals::Exempt,
                ) => format!("{rate}, renewals exempt"),
                _ => rate.to_string(),
            }),
        };
        Rule { limit, allowed, refused: self.refused(limit) }
    }

    /// What failed lately for an account or a name, at most [`MOST`].
    fn failing(&self, subject: &Subject) -> Result<Vec<Failing>, StoreError> {
        let (first, last) = match subject {
            Subject::Account(id) => (format!("{id}/"), format!("{id}0")),
            Subject::Address(address) => (format!("{address}/"), format!("{address}0")),
            // Authorizations are for the base of a wildcard.
            Subject::Name(name) => (format!("{}/", name.base()), format!("{}0", name.base())),
        };
        let range = (Bound::Included(first.as_bytes()), Bound::Excluded(last.as_bytes()));
        if let Subject::Account(_) = subject {
            let rows = self.store.scan(&FAILURES, range, MOST, false)?;
            let known = |(key, row): (Vec<u8>, crate::store::Versioned<FailureRecord>)| {
                split(&key).map(|(account, name)| failing(account, name, row.value))
            };
            return Ok(rows.into_iter().filter_map(known).collect());
        }
        let mut found = Vec::new();
        for (key, _) in self.store.scan(&FAILURES_BY_NAME, range, MOST, false)? {
            if let Some((name, account)) = split(&key)
                && let Some(row) = self.store.get(&FAILURES, by_account(&account, &name))?
            {
                found.push(failing(account, name, row.value));
            }
        }
        Ok(found)
    }
}

fn failing(account: String, name: String, record: FailureRecord) -> Failing {
    let FailureRecord { in_a_row, last, why, paused, bucket: _ } = record;
    Failing { account, name, in_a_row, last: last.0, why, paused: paused.map(|at| at.0) }
}
