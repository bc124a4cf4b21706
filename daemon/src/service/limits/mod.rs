//! Limits: how often one client, one name and everybody together may ask for something, and what
//! happens to those who never succeed.
//!
//! Each limit is a bucket ([`gcra`]) that is kept in [`memory`] and written behind to the store
//! ([`kept`]), so that a request costs no write. Failed validations are records in the store
//! ([`failures`]): they change with the authorization that failed, in the same commit.

mod explain;
mod failures;
mod gcra;
mod kept;
mod memory;
mod subject;
mod tally;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use policy::effects::UnixTime;
use policy::grant::RateLimits;
use policy::name::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Rate, RateLimits as Rules, Renewals};
use crate::store::{Store, StoreError};

pub use explain::{Explained, Failing, MOST, Query, ReleaseError, Released, Rule, Standing};
pub use kept::Save;
pub use subject::{Kind, Subject, SubjectError};
pub use tally::{Tally, Turn};

use memory::{Memory, Wanted};

/// Every limit that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// New accounts, in all.
    Accounts,
    /// New accounts from one address.
    AccountsPerAddress,
    /// Connections from one address that are open at a time, on one listener.
    ConnectionsPerAddress,
    /// Failed validations of one account for one name.
    Failures,
    /// New orders, in all.
    Orders,
    /// New orders of one account.
    OrdersPerAccount,
    /// New orders from one address.
    OrdersPerAddress,
    /// New orders for one registered name.
    OrdersPerName,
    /// Failed validations in a row, of one account for one name.
    PauseAfter,
    /// ACME requests from one address.
    RequestsPerAddress,
    /// Attempts to sign in to one account of the Notary dialect.
    SignInsPerAccount,
    /// Attempts to sign in from one address.
    SignInsPerAddress,
    /// Validations under way, in all.
    Validations,
    /// Validations under way of one account.
    ValidationsPerAccount,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Accounts,
        Self::AccountsPerAddress,
        Self::ConnectionsPerAddress,
        Self::Failures,
        Self::Orders,
        Self::OrdersPerAccount,
        Self::OrdersPerAddress,
        Self::OrdersPerName,
        Self::PauseAfter,
        Self::RequestsPerAddress,
        Self::SignInsPerAccount,
        Self::SignInsPerAddress,
        Self::Validations,
        Self::ValidationsPerAccount,
    ];

    /// Its name, in the configuration too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::AccountsPerAddress => "accounts_per_address",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Failures => "failures",
            Self::Orders => "orders",
            Self::OrdersPerAccount => "orders_per_account",
            Self::OrdersPerAddress => "orders_per_address",
            Self::OrdersPerName => "orders_per_name",
            Self::PauseAfter => "pause_after",
            Self::RequestsPerAddress => "requests_per_address",
            Self::SignInsPerAccount => "sign_ins_per_account",
            Self::SignInsPerAddress => "sign_ins_per_address",
            Self::Validations => "validations",
            Self::ValidationsPerAccount => "validations_per_account",
        }
    }

    /// What it counts, as the end of "too many …".
    fn counts(self) -> &'static str {
        match self {
            Self::Accounts => "new accounts in all",
            Self::AccountsPerAddress => "new accounts from your address",
            Self::ConnectionsPerAddress => "connections from your address",
            Self::Failures => "failed validations",
            Self::Orders => "new orders in all",
            Self::OrdersPerAccount => "new orders of this account",
            Self::OrdersPerAddress => "new orders from your address",
            Self::OrdersPerName => "new orders",
            Self::PauseAfter => "failed validations in a row",
            Self::RequestsPerAddress => "requests from your address",
            Self::SignInsPerAccount => "attempts to sign in to this account",
            Self::SignInsPerAddress => "attempts to sign in from your address",
            Self::Validations => "validations are under way",
            Self::ValidationsPerAccount => "validations of this account are under way",
        }
    }
}

/// Somebody asked for too much.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct TooMuch {
    /// Which limit it was.
    pub limit: Limit,
    /// One sentence for the client: which limit, and what to do.
    pub detail: String,
    /// When the same request may succeed.
    pub retry_after: Duration,
    /// A page that helps, if the CA has one.
    pub help: Option<String>,
}

/// Why a request does not go on.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// It is too much.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// It is not known whether it is: not the client's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A new order, as far as the limits need to know it.
pub struct Ordered<'a> {
    /// Whose.
    pub account: &'a str,
    /// Whether the account is counted.
    pub limits: RateLimits,
    /// From where, if it came over a network.
    pub from: Option<IpAddr>,
    /// For which names.
    pub names: &'a [Name],
    /// Whether it replaces a certificate that is there.
    pub replaces: Replaces,
}

/// Whether an order replaces a certificate (RFC 9773 section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replaces {
    /// A certificate of the same account that shares a name.
    Certificate,
    /// None.
    #[default]
    Nothing,
}

/// All limits, and how much is left of each.
pub struct Limits {
    rules: Rules,
    help: Option<String>,
    store: Store,
    /// What is kept over a restart.
    buckets: Mutex<Memory>,
    /// Requests by address: for this process alone.
    requests: Mutex<Memory>,
    /// Validations under way, by account.
    validations: Tally,
    refusals: [AtomicU64; Limit::ALL.len()],
    pauses: AtomicU64,
}

/// Most validations under way in all, those in a pause included. More would be work for an attacker
/// only.
pub const MAX_VALIDATIONS: u32 = 4096;

/// Buckets in one generation of the memory: some 10 MB when all are in use.
const GENERATION: usize = 50_000;

/// When to come back after too much at a time.
const SOON: Duration = Duration::from_secs(5);

impl Limits {
    /// The limits of the configuration, over what `store` knows. `help` is a page for those who are
    /// refused.
    pub fn new(rules: Rules, help: Option<String>, store: Store) -> Self {
        Self {
            rules,
            help,
            store,
            buckets: Mutex::new(Memory::new(GENERATION)),
            requests: Mutex::new(Memory::new(GENERATION)),
            validations: Tally::default(),
            refusals: Default::default(),
            pauses: AtomicU64::new(0),
        }
    }

    /// Counts a request. Costs no read and no write.
    pub fn request(&self, from: Option<IpAddr>, now: UnixTime) -> Result<(), TooMuch> {
        let Some((rate, address)) = self.rules.requests_per_address.zip(self.counted(from)) else { return Ok(()) };
        let wanted = Wanted { key: key(Limit::RequestsPerAddress, &address), rate };
        let taken = lock(&self.requests).take(&[wanted], now);
        taken.map_err(|empty| self.too_many(Limit::RequestsPerAddress, rate, None, empty.wait))
    }

    /// Counts an account that is about to be made.
    pub fn new_account(&self, from: Option<IpAddr>, limits: RateLimits, now: UnixTime) -> Result<(), LimitError> {
        if limits == RateLimits::Exempt {
            return Ok(());
        }
        let mut wanted = Vec::with_capacity(2);
        wanted.extend(self.rules.accounts.map(|rate| (Limit::Accounts, rate, ALL.to_owned())));
        let address = self.rules.accounts_per_address.zip(self.counted(from));
        wanted.extend(address.map(|(rate, address)| (Limit::AccountsPerAddress, rate, address)));
        self.take(wanted, now)
    }

    /// Counts an order that is about to be made.
    pub fn new_order(&self, order: &Ordered<'_>, now: UnixTime) -> Result<(), LimitError> {
        let renewal = order.replaces == Replaces::Certificate && self.rules.renewals == Renewals::Exempt;
        if renewal || order.limits == RateLimits::Exempt {
            return Ok(());
        }
        let mut wanted = Vec::with_capacity(3 + order.names.len());
        wanted.extend(self.rules.orders.map(|rate| (Limit::Orders, rate, ALL.to_owned())));
        let account = |rate| (Limit::OrdersPerAccount, rate, order.account.to_owned());
        wanted.extend(self.rules.orders_per_account.map(account));
        let address = self.rules.orders_per_address.zip(self.counted(order.from));
        wanted.extend(address.map(|(rate, address)| (Limit::OrdersPerAddress, rate, address)));
        if let Some(rate) = self.rules.orders_per_name {
            // Once for each registered name, however many names of the order share it.
            let mut registered: Vec<String> = order.names.iter().map(|name| self.registered(name)).collect();
            registered.sort_unstable();
            registered.dedup();
            wanted.extend(registered.into_iter().map(|name| (Limit::OrdersPerName, rate, name)));
        }
        self.take(wanted, now)
    }

    /// Counts an attempt to sign in to this account, whether there is one or not.
    pub fn sign_in(&self, from: Option<IpAddr>, account: &str, now: UnixTime) -> Result<(), LimitError> {
        let mut wanted = Vec::with_capacity(2);
        wanted.extend(self.rules.sign_ins_per_account.map(|rate| (Limit::SignInsPerAccount, rate, account.to_owned())));
        let address = self.rules.sign_ins_per_address.zip(self.counted(from));
        wanted.extend(address.map(|(rate, address)| (Limit::SignInsPerAddress, rate, address)));
        self.take(wanted, now)
    }

    /// Counts a validation of this account while the turn is held. One that goes on after a restart
    /// was allowed before.
    pub fn validation(&self, account: &str) -> Result<Turn, TooMuch> {
        let limit = Limit::ValidationsPerAccount;
        let most = self.rules.validations_per_account;
        self.validations.enter(account, most).ok_or_else(|| {
            let detail = format!("too many {} ({}): respond to this challenge later", limit.counts(), limit.name());
            self.too_much(limit, detail, SOON)
        })
    }

    /// Counts a connection of one listener while the turn is held. One that came over no network, or
    /// from an exempt one, is not counted.
    pub fn connection(&self, listener: &Tally, from: Option<IpAddr>) -> Result<Option<Turn>, TooMuch> {
        let Some(address) = self.counted(from) else { return Ok(None) };
        let limit = Limit::ConnectionsPerAddress;
        listener.enter(&address, self.rules.connections_per_address).map(Some).ok_or_else(|| {
            let detail = format!("too many {} ({}): close one first", limit.counts(), limit.name());
            self.too_much(limit, detail, SOON)
        })
    }

    /// The refusal of one more validation when the server as a whole has enough of them.
    pub fn too_many_validations(&self) -> TooMuch {
        self.too_much(Limit::Validations, "too many validations are under way: try again soon".to_owned(), SOON)
    }

    /// Counters as text, in the format of Prometheus.
    pub fn render_metrics(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "# HELP signet_limit_refusals_total Requests refused by a limit.")?;
        writeln!(text, "# TYPE signet_limit_refusals_total counter")?;
        for limit in Limit::ALL {
            let count = self.refused(limit);
            writeln!(text, "signet_limit_refusals_total{{limit=\"{}\"}} {count}", limit.name())?;
        }
        writeln!(text, "# HELP signet_limit_pauses_total Accounts paused for a name after too many failures.")?;
        writeln!(text, "# TYPE signet_limit_pauses_total counter")?;
        writeln!(text, "signet_limit_pauses_total {}", self.pauses.load(Ordering::Relaxed))
    }

    /// Takes one from each bucket, or from none.
    fn take(&self, wanted: Vec<(Limit, Rate, String)>, now: UnixTime) -> Result<(), LimitError> {
        let buckets: Vec<Wanted> =
            wanted.iter().map(|(limit, rate, subject)| Wanted { key: key(*limit, subject), rate: *rate }).collect();
        let unknown: Vec<&str> = {
            let memory = lock(&self.buckets);
            buckets.iter().map(|wanted| wanted.key.as_str()).filter(|key| !memory.knows(key)).collect()
        };
        let read = unknown.into_iter().map(|key| Ok((key, self.read(key)?))).collect::<Result<Vec<_>, StoreError>>()?;
        let mut memory = lock(&self.buckets);
        for (key, bucket) in read {
            memory.learn(key, bucket);
        }
        memory.take(&buckets, now).map_err(|empty| {
            let (limit, rate, subject) = &wanted[empty.index];
            let subject = (*limit == Limit::OrdersPerName).then_some(subject.as_str());
            self.too_many(*limit, *rate, subject, empty.wait).into()
        })
    }

    fn too_many(&self, limit: Limit, rate: Rate, subject: Option<&str>, wait: Duration) -> TooMuch {
        let wait = Duration::from_secs(u64::try_from(wait.as_micros().div_ceil(1_000_000)).unwrap_or(u64::MAX).max(1));
        let of = subject.map_or(String::new(), |subject| format!(" for {subject}"));
        let detail = format!(
            "too many {}{of}: {} are allowed ({}); try again in {}",
            limit.counts(),
            rate,
            limit.name(),
            humantime::format_duration(wait)
        );
        self.too_much(limit, detail, wait)
    }

    /// How often a limit refused somebody since the start.
    fn refused(&self, limit: Limit) -> u64 {
        self.refusals[limit as usize].load(Ordering::Relaxed)
    }

    fn too_much(&self, limit: Limit, detail: String, retry_after: Duration) -> TooMuch {
        self.refusals[limit as usize].fetch_add(1, Ordering::Relaxed);
        tracing::debug!(limit = limit.name(), detail, "refused by a limit");
        TooMuch { limit, detail, retry_after, help: self.help.clone() }
    }
}

/// The subject of a limit that counts everybody.
const ALL: &str = "all";

/// Names a bucket, in the store too.
fn key(limit: Limit, subject: &str) -> String {
    format!("{}/{subject}", limit.name())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in another thread leaves nothing half done here.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
