//! Orders (RFC 8555 sections 7.1.3 and 7.4).

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use policy::effects::UnixTime;
use policy::evidence::Method;
use policy::name::{DnsName, Name};
use policy::profile::{Profile, Refusal};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::accounts::Account;
use super::error::{AcmeError, Rejected, Rejection};
use super::tables::{ACCOUNT_ORDERS, AUTHORIZATIONS, AuthorizationRecord, AuthorizationState};
use super::{Acme, Id};
use crate::issuance::orders::{ORDERS, OrderRecord};
use crate::service::limits::{Ordered, Replaces};
use crate::store::{Change, Versioned};
use crate::validation::Failure;

/// Most names of an order: what fits a certificate that every client can handle.
pub const MAX_NAMES: usize = 100;

/// A valid authorization is reused for a new order only if it lasts this much longer: time to
/// finalize the order.
const REUSE_MARGIN: u64 = 600;

/// What newOrder asks for.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// Types and values of the identifiers, as they were sent.
    pub identifiers: Vec<(String, String)>,
    /// From where it is asked, if over a network.
    pub from: Option<IpAddr>,
    /// The profile, if one was named.
    pub profile: Option<String>,
}

/// An order as its owner sees it now.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// Its row.
    pub record: OrderRecord,
    /// Where it is in the state machine.
    pub status: OrderStatus,
}

/// A page of orders.
#[derive(Clone, Debug)]
pub struct OrderPage {
    /// Their ids.
    pub orders: Vec<String>,
    /// Where the next page begins: after this id.
    pub next: Option<String>,
}

/// Orders in a page. Each may take [`MAX_NAMES`] reads, and reading holds up the thread.
const PAGE: usize = 10;

/// Where an order is in the state machine of RFC 8555 section 7.1.6. `processing` is never seen:
/// whoever asks while an order is being finalized waits for the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Something is to be validated.
    Pending,
    /// Everything is validated.
    Ready,
    /// The certificate is there.
    Valid,
    /// It cannot be completed any more.
    Invalid(WhyInvalid),
}

/// Why an order cannot be completed any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyInvalid {
    /// An authorization was given up, or ended.
    Authorization(DnsName),
    /// A challenge failed.
    Challenge(DnsName, Failure),
    /// It was not completed in time.
    Expired,
}

impl Acme {
    /// Makes an order. Names that the account has shown control of before need no new challenge.
    pub async fn new_order(&self, account: &Account, wish: NewOrder) -> Result<Order, AcmeError> {
        let profile = self.profile(wish.profile.as_deref())?;
        let names = self.orderable(&wish.identifiers, profile)?;
        let now = self.now();
        // An order that outlives the profile's patience with its proofs would be ready and refused.
        let oldest = self.services.profiles[profile].max_evidence_age();
        let mut expires = now.plus(self.services.acme.order_lifetime.as_secs().min(oldest));
        let mut status = OrderStatus::Ready;
        let mut change = Change::new();
        let mut authorizations = Vec::with_capacity(names.len());
        for name in &names {
            let needed = now.plus(REUSE_MARGIN);
            if let Some((id, valid)) = self.authorized(&account.id, name, needed)?
                && let AuthorizationState::Valid { at, .. } = valid.state
                && at.plus(oldest) >= needed
            {
                expires = expires.min(valid.expires).min(at.plus(oldest));
                authorizations.push(id);
                continue;
            }
            self.services.limits.may_validate(&account.id, name.as_str(), now)?;
            status = OrderStatus::Pending;
            let id = Id::random(&self.services.random)?.to_string();
            let authorization = AuthorizationRecord {
                account: account.id.clone(),
                name: name.clone(),
                expires: now.plus(self.services.acme.authorization_lifetime.as_secs()),
                token: Token::random(&self.services.random)?,
                state: AuthorizationState::Pending,
            };
            change.insert(&AUTHORIZATIONS, &id, &authorization);
            authorizations.push(id);
        }
        let counted: Vec<Name> = names.iter().cloned().map(Name::Dns).collect();
        let ordered = Ordered {
            account: &account.id,
            limits: self.rate_limits(account)?,
            from: wish.from,
            names: &counted,
            replaces: Replaces::Nothing,
        };
        self.services.limits.new_order(&ordered, now)?;
        let id = Id::random(&self.services.random)?.to_string();
        let record = OrderRecord {
            account: account.id.clone(),
            created: now,
            expires,
            profile: profile.to_owned(),
            names,
            authorizations,
            certificate: None,
        };
        change.insert(&ORDERS, &id, &record);
        change.put(&ACCOUNT_ORDERS, format!("{}/{id}", account.id), &());
        self.services.store.commit(change).await?;
        Ok(Order { id, record, status })
    }

    /// The order of that id, for its owner. If it is being finalized, waits for the outcome.
    pub async fn order(&self, account: &Account, id: &str) -> Result<Order, AcmeError> {
        let under_way = self.finalizing.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some(lock) = under_way {
            drop(lock.lock().await);
        }
        Ok(self.read_order(account, id)?.0)
    }

    /// A page of the account's orders that are not invalid (RFC 8555 section 7.1.2.1), after the
    /// order with that id.
    pub fn orders(&self, account: &Account, after: Option<&str>) -> Result<OrderPage, AcmeError> {
        let (prefix, end) = (format!("{}/", account.id), format!("{}0", account.id));
        let from = after.map(|id| format!("{prefix}{}", cut(id, 64)));
        let from = from.as_ref().map_or(Bound::Included(prefix.as_bytes()), |key| Bound::Excluded(key.as_bytes()));
        let rows = self.services.store.scan(&ACCOUNT_ORDERS, (from, Bound::Excluded(end.as_bytes())), PAGE, false)?;
        let ids: Vec<String> =
            rows.iter().filter_map(|(key, _)| String::from_utf8(key[prefix.len()..].to_vec()).ok()).collect();
        let next = ids.last().filter(|_| ids.len() == PAGE).cloned();
        let mut orders = Vec::with_capacity(ids.len());
        for id in ids {
            let (order, _) = self.read_order(account, &id)?;
            if !matches!(order.status, OrderStatus::Invalid(_)) {
                orders.push(id);
            }
        }
        Ok(OrderPage { orders, next })
    }

    /// The order, and the authorizations that decide its status if it is not completed.
    pub(super) fn read_order(
        &self,
        account: &Account,
        id: &str,
    ) -> Result<(Order, Vec<AuthorizationRecord>), AcmeError> {
        let Versioned { value: record, .. } =
            self.services.store.get(&ORDERS, id)?.ok_or(AcmeError::NotFound("order"))?;
        if record.account != account.id {
            return Err(AcmeError::Unauthorized("the order belongs to another account".into()));
        }
        let mut authorizations = Vec::new();
        if record.certificate.is_none() {
            for id in &record.authorizations {
                let row = self.services.store.get(&AUTHORIZATIONS, id)?;
                authorizations.push(
                    row.ok_or_else(|| AcmeError::Internal(format!("authorization {id} of an order is gone")))?.value,
                );
            }
        }
        let status = status(&record, &authorizations, self.now());
        Ok((Order { id: id.to_owned(), record, status }, authorizations))
    }

    /// Takes the order for oneself until the guard is dropped.
    pub(super) async fn lock_order(self: &Arc<Self>, id: &str) -> OrderGuard {
        let lock = {
            let mut finalizing = self.finalizing.lock().unwrap_or_else(PoisonError::into_inner);
            finalizing.entry(id.to_owned()).or_insert_with(|| Arc::new(AsyncMutex::new(()))).clone()
        };
        OrderGuard { _held: Some(lock.lock_owned().await), acme: self.clone(), id: id.to_owned() }
    }

    /// The profile that is asked for, or the default one.
    pub(super) fn profile<'a>(&'a self, wish: Option<&'a str>) -> Result<&'a str, AcmeError> {
        let offer = &self.services.acme;
        let name = wish.unwrap_or(&offer.default_profile);
        let offered = offer.profiles.iter().any(|profile| profile == name);
        if offered && self.services.profiles.contains_key(name) {
            return Ok(name);
        }
        let name: String = name.chars().take(64).collect();
        Err(AcmeError::InvalidProfile(format!(
            "the profile `{name}` is not offered: use one of {}",
            offer.profiles.join(", ")
        )))
    }

    /// The names, if each can be ordered.
    fn orderable(&self, identifiers: &[(String, String)], profile: &str) -> Result<Vec<DnsName>, AcmeError> {
        if identifiers.is_empty() {
            return Err(AcmeError::Malformed("the order has no identifiers".into()));
        }
        if identifiers.len() > MAX_NAMES {
            return Err(AcmeError::Malformed(format!("the order has more than {MAX_NAMES} identifiers")));
        }
        let profile = &self.services.profiles[profile];
        let mut seen = HashSet::new();
        let mut names = Vec::with_capacity(identifiers.len());
        let mut rejected = Vec::new();
        for (kind, value) in identifiers {
            let mut reject = |why, detail: String| {
                let (kind, value) = (cut(kind, 32), cut(value, 256));
                rejected.push(Rejected { kind, value, why, detail });
            };
            if kind != "dns" {
                reject(Rejection::Unsupported, "only identifiers of type dns are supported".into());
                continue;
            }
            let name = match DnsName::parse(value) {
                Ok(name) if name.as_str() == value => name,
                Ok(name) => {
                    reject(Rejection::Malformed, format!("write the name in its canonical form: {name}"));
                    continue;
                }
                Err(error) => {
                    reject(Rejection::Malformed, error.to_string());
                    continue;
                }
            };
            if !seen.insert(name.clone()) {
                // Returned once it would differ from what was sent, which clients refuse (7.1.3).
                reject(Rejection::Malformed, format!("{name} stands twice in the order: send it once"));
            } else if name.is_wildcard() {
                reject(
                    Rejection::Rejected,
                    "a wildcard cannot be validated with http-01, the only method of this server".into(),
                );
            } else if let Err(refusal) = allowed(profile, &Name::Dns(name.clone())) {
                reject(Rejection::Rejected, refusal.why);
            }
            names.push(name);
        }
        if rejected.is_empty() { Ok(names) } else { Err(AcmeError::RejectedIdentifiers(rejected)) }
    }
}

/// Whether a certificate for `name` can come of the order, before any work is spent on it.
fn allowed(profile: &Profile, name: &Name) -> Result<(), Refusal> {
    profile.allows_name(name)?;
    profile.allows_method(name, Method::Http01)
}

/// Holds an order; while it is there, nobody else finalizes it.
pub(super) struct OrderGuard {
    _held: Option<OwnedMutexGuard<()>>,
    acme: Arc<Acme>,
    id: String,
}

impl Drop for OrderGuard {
    fn drop(&mut self) {
        let mut finalizing = self.acme.finalizing.lock().unwrap_or_else(PoisonError::into_inner);
        self._held = None;
        // The map's own reference is the last one if nobody waits.
        if finalizing.get(&self.id).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            finalizing.remove(&self.id);
        }
    }
}

/// What the status of an order is at `now`. Its certificate decides; else its expiry, else its
/// authorizations.
fn status(order: &OrderRecord, authorizations: &[AuthorizationRecord], now: UnixTime) -> OrderStatus {
    if order.certificate.is_some() {
        return OrderStatus::Valid;
    }
    if now > order.expires {
        return OrderStatus::Invalid(WhyInvalid::Expired);
    }
    let mut status = OrderStatus::Ready;
    for authorization in authorizations {
        let ended = || OrderStatus::Invalid(WhyInvalid::Authorization(authorization.name.clone()));
        match &authorization.state {
            AuthorizationState::Invalid { error } => {
                return OrderStatus::Invalid(WhyInvalid::Challenge(authorization.name.clone(), error.clone()));
            }
            AuthorizationState::Deactivated { .. } => return ended(),
            _ if now > authorization.expires => return ended(),
            AuthorizationState::Pending | AuthorizationState::Processing { .. } => status = OrderStatus::Pending,
            AuthorizationState::Valid { .. } => {}
        }
    }
    status
}

/// Tokens of challenges: 256 random bits, base64url (RFC 8555 section 8.1).
struct Token;

impl Token {
    fn random(random: &super::Random) -> Result<String, policy::effects::EntropyError> {
        use base64::Engine as _;
        Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random.bytes::<32>()?))
    }
}

/// The beginning of a foreign text, to be shown back.
fn cut(text: &str, length: usize) -> String {
    text.chars().take(length).collect()
}
