//! External account keys (RFC 8555 section 7.3.4): who may have an account, and what its orders are
//! bound to.

use std::ops::Bound;

use aws_lc_rs::hmac::{self, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hsm::wire::{Actor, SealStatus};
use policy::effects::{EntropyError, UnixTime};
use policy::grant::{Grant, RateLimits, Reuse};
use policy::name::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use zeroize::Zeroizing;

use super::accounts::Account;
use super::error::{AcmeError, Rejected, Rejection};
use super::identifiers::identifier;
use super::tables::Binding;
use super::{Acme, Id, Random};
use crate::issuance::ca::CaError;
use crate::service::secrets::{Boxed, Label, Secret};
use crate::store::{Change, CommitError, Table, Versioned};

/// External account keys. Key: its id. A row stays for ever, because it binds accounts.
pub(super) const EAB_KEYS: Table<EabKeyRecord> = Table::new("acme_eab_keys");

/// MAC keys of external account keys that can still be used. Key: its id.
const EAB_BOXES: Table<Boxed> = Table::new("acme_eab_boxes");

/// The same as they were kept before they were encrypted.
const EAB_SECRETS: Table<MacKey> = Table::new("acme_eab_secrets");

/// Accounts that are bound to a key. Key: id of the key, `/`, id of the account.
pub(super) const EAB_ACCOUNTS: Table<()> = Table::new("acme_eab_accounts");

/// Orders whose certificate was counted. Key: id of the key, `/`, id of the order.
const EAB_CERTIFICATES: Table<()> = Table::new("acme_eab_certificates");

/// How often a change of a key is tried against others at the same time.
pub(super) const CONFLICTS: usize = 64;

/// An external account key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EabKeyRecord {
    /// What it grants.
    pub grant: Grant,
    /// When it was made.
    pub created: UnixTime,
    /// By whom, in the words of the journal.
    pub created_by: String,
    /// Accounts that were bound to it.
    pub accounts: u64,
    /// Orders that its accounts made, counted only if the grant limits them.
    pub orders: u64,
    /// Certificates that its accounts got, counted only if the grant limits them.
    pub certificates: u64,
    /// Whether it was used up or revoked.
    pub state: EabKeyState,
}

/// Whether a key was used up or revoked. Expiry is not stored: it follows from the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum EabKeyState {
    /// Neither.
    Active,
    /// Revoked by an administrator.
    Revoked {
        /// When.
        at: UnixTime,
        /// By whom, in the words of the journal.
        by: String,
    },
    /// It was good for one account, and has it.
    Used {
        /// When.
        at: UnixTime,
    },
}

/// Whether an account can be bound to a key now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "EabKeyStanding")]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It can.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
    /// It was good for one account, and has it.
    Used,
}

impl EabKeyRecord {
    /// Whether an account can be bound to it at `now`.
    pub fn standing(&self, now: UnixTime) -> Standing {
        match self.state {
            EabKeyState::Revoked { .. } => Standing::Revoked,
            EabKeyState::Used { .. } => Standing::Used,
            EabKeyState::Active if self.grant.expires.is_some_and(|last| now > last) => Standing::Expired,
            EabKeyState::Active => Standing::Active,
        }
    }
}

/// The secret of an external account key: 64 octets, enough for each of the MACs (RFC 7518 section
/// 3.2). It goes nowhere but into the store, while it can be used, and once to who makes the key.
pub struct MacKey(Zeroizing<Vec<u8>>);

impl MacKey {
    pub(super) fn random(random: &Random) -> Result<Self, EntropyError> {
        loop {
            let octets = Zeroizing::new(random.bytes::<64>()?);
            // A key that begins with the digits 62 and 63, `-` and `_`, is an option to some clients.
            if octets[0] < 0xf8 {
                return Ok(Self(Zeroizing::new(octets.to_vec())));
            }
        }
    }

    /// As base64url: how clients take it.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(&*self.0))
    }

    /// The octets, to be encrypted.
    fn secret(&self) -> Secret {
        Secret::new(self.0.clone())
    }

    /// The octets, for a MAC.
    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }

    fn verify(&self, binding: &ExternalBinding) -> bool {
        let algorithm = match binding.algorithm {
            MacAlgorithm::Hs256 => HMAC_SHA256,
            MacAlgorithm::Hs384 => HMAC_SHA384,
            MacAlgorithm::Hs512 => HMAC_SHA512,
        };
        hmac::verify(&hmac::Key::new(algorithm, self.expose()), binding.signed.as_bytes(), &binding.mac).is_ok()
    }
}

/// For the store alone.
impl Serialize for MacKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.reveal())
    }
}

impl<'de> Deserialize<'de> for MacKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let octets =
            URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| de::Error::custom("a MAC key in base64url"))?;
        Ok(Self(Zeroizing::new(octets)))
    }
}

/// MAC algorithms of JWS (RFC 7518 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256
    Hs256,
    /// HMAC with SHA-384
    Hs384,
    /// HMAC with SHA-512
    Hs512,
}

impl MacAlgorithm {
    /// The algorithm of that JWS name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "HS384" => Some(Self::Hs384),
            "HS512" => Some(Self::Hs512),
            _ => None,
        }
    }
}

/// A binding as newAccount brings it; that it speaks of this request was checked, its MAC was not.
#[derive(Clone, Debug)]
pub struct ExternalBinding {
    /// Id of the key.
    pub key: String,
    /// How it was authenticated.
    pub algorithm: MacAlgorithm,
    /// What was authenticated.
    pub signed: String,
    /// The MAC.
    pub mac: Vec<u8>,
    /// The JWS as it was sent.
    pub jws: Value,
}

/// A key that a binding proved to hold.
pub(super) struct Redeemed {
    pub(super) id: String,
    row: Versioned<EabKeyRecord>,
}

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge<'a> {
    /// The certificate of the order of that id, once.
    Certificate(&'a str),
    /// An order.
    Order,
}

impl Acme {
    /// Whether the account may order these names, from this profile if it is known yet. Asked at
    /// newOrder and newAuthz, and again before a certificate is signed. An account without an external
    /// account key is not bound.
    pub fn within_bounds(&self, account: &Account, names: &[Name], profile: Option<&str>) -> Result<(), AcmeError> {
        let Some((_, row)) = self.bound_to(account)? else { return Ok(()) };
        let grant = &row.value.grant;
        let granted = profile.map_or(Ok(()), |profile| grant.allows_profile(profile));
        granted.map_err(|refusal| AcmeError::InvalidProfile(refusal.why))?;
        let rejected: Vec<Rejected> = names
            .iter()
            .filter_map(|name| Some((name, grant.allows_name(name).err()?)))
            .map(|(name, refusal)| {
                let (kind, value) = identifier(name);
                Rejected { kind: kind.to_owned(), value, why: Rejection::Rejected, detail: refusal.why }
            })
            .collect();
        if rejected.is_empty() { Ok(()) } else { Err(AcmeError::RejectedIdentifiers(rejected)) }
    }

    /// Counts against the quota of the account's external account key, or refuses when it is used
    /// up. Exact over parallel requests, over restarts and over daemons that share a store. Without
    /// a quota nothing is read or written twice.
    pub async fn charge(&self, account: &Account, charge: Charge<'_>) -> Result<(), AcmeError> {
        for _ in 0..CONFLICTS {
            let Some((key, row)) = self.bound_to(account)? else { return Ok(()) };
            let mut record = row.value;
            let (quota, count, what) = match charge {
                Charge::Certificate(_) => (record.grant.certificates, &mut record.certificates, "certificates"),
                Charge::Order => (record.grant.orders, &mut record.orders, "orders"),
            };
            let Some(quota) = quota else { return Ok(()) };
            let mut change = Change::new();
            if let Charge::Certificate(order) = charge {
                let counted = format!("{key}/{order}");
                if self.services.store.get(&EAB_CERTIFICATES, &counted)?.is_some() {
                    return Ok(());
                }
                change.insert(&EAB_CERTIFICATES, counted, &());
            }
            if *count >= quota {
                return Err(AcmeError::Unauthorized(format!(
                    "the external account key `{key}` was good for {quota} {what}, and they are used up: ask for \
                     another key"
                )));
            }
            *count += 1;
            change.update(&EAB_KEYS, &key, row.version, &record);
            match self.services.store.commit(change).await {
                Err(CommitError::Conflict(_)) => {}
                other => return Ok(other?),
            }
        }
        Err(busy())
    }

    /// Whether rate limits hold for the account.
    pub fn rate_limits(&self, account: &Account) -> Result<RateLimits, AcmeError> {
        Ok(self.bound_to(account)?.map_or(RateLimits::Apply, |(_, row)| row.value.grant.limits))
    }

    /// The key that a binding proves to hold, if an account can be bound to it.
    pub(super) async fn redeem(&self, binding: &ExternalBinding) -> Result<Redeemed, AcmeError> {
        let refused = |why: &str| {
            self.services.metrics.acme.binding_refused();
            Err(AcmeError::Unauthorized(format!("the external account key {why}: ask for another")))
        };
        let store = &self.services.store;
        // What has the shape of no id is not asked for.
        let row = if is_id(&binding.key) { store.get(&EAB_KEYS, &binding.key)? } else { None };
        let Some(row) = row else { return refused("is not known") };
        match row.value.standing(self.now()) {
            Standing::Active => {}
            Standing::Expired => return refused("has expired"),
            Standing::Revoked => return refused("is revoked"),
            Standing::Used => return refused("was good for one account, and was used"),
        }
        match self.mac_key(&binding.key).await? {
            Some(secret) if secret.verify(binding) => Ok(Redeemed { id: binding.key.clone(), row }),
            Some(_) => refused("does not verify the binding's MAC"),
            // It was used or revoked a moment ago.
            None => refused("is no longer good"),
        }
    }

    /// Adds a key's secret to a change, encrypted.
    pub(super) async fn keep_secret(
        &self,
        change: &mut Change,
        id: &str,
        secret: &MacKey,
        actor: Actor,
    ) -> Result<(), CaError> {
        let boxed = self.services.encrypt(Label::EabKey(id), secret.secret(), actor).await?;
        change.insert(&EAB_BOXES, id, &boxed);
        Ok(())
    }

    async fn mac_key(&self, id: &str) -> Result<Option<MacKey>, AcmeError> {
        let store = &self.services.store;
        match store.get(&EAB_BOXES, id)? {
            Some(boxed) => {
                let secret = self.services.decrypt(Label::EabKey(id), &boxed.value).await;
                Ok(Some(MacKey(secret?.into_inner())))
            }
            None => Ok(store.get(&EAB_SECRETS, id)?.map(|row| row.value)),
        }
    }

    /// Encrypts some of the secrets that are kept as they were before; says how many. None while the CA
    /// is sealed.
    pub(crate) async fn encrypt_some(&self) -> Result<usize, AcmeError> {
        let store = &self.services.store;
        if !matches!(self.services.ca.seal(), Ok(SealStatus::Unsealed)) {
            return Ok(0);
        }
        let rows = store.scan(&EAB_SECRETS, (Bound::Unbounded, Bound::Unbounded), 16, false)?;
        for (id, row) in &rows {
            let actor = Actor { who: "signetd".to_owned(), request_id: String::new() };
            let mut change = Change::new();
            self.keep_secret(&mut change, &String::from_utf8_lossy(id), &row.value, actor).await?;
            change.remove(&EAB_SECRETS, id, row.version);
            match store.commit(change).await {
                // Used or revoked meanwhile: it is gone.
                Ok(()) | Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(rows.len())
    }

    /// The key of that id, to bind an account to it on an administrator's word.
    pub(super) fn grant_of(&self, key: &str) -> Result<Option<Redeemed>, AcmeError> {
        let row = self.services.store.get(&EAB_KEYS, key)?;
        Ok(row.map(|row| Redeemed { id: key.to_owned(), row }))
    }

    fn bound_to(&self, account: &Account) -> Result<Option<(String, Versioned<EabKeyRecord>)>, AcmeError> {
        let Some(Binding { key, .. }) = &account.record.binding else { return Ok(None) };
        let row = self.services.store.get(&EAB_KEYS, key)?;
        let row = row.ok_or_else(|| AcmeError::Internal(format!("the external account key {key} is gone")))?;
        Ok(Some((key.clone(), row)))
    }
}

impl Redeemed {
    pub(super) fn record(&self) -> &EabKeyRecord {
        &self.row.value
    }

    /// Adds to a change that the account is bound to the key. The commit is a conflict if the key
    /// was used or revoked meanwhile.
    pub(super) fn bind(&self, change: &mut Change, account: &str, now: UnixTime) {
        let mut record = self.row.value.clone();
        record.accounts += 1;
        if record.grant.reuse == Reuse::Once {
            record.state = EabKeyState::Used { at: now };
            forget_secret(change, &self.id);
        }
        change.update(&EAB_KEYS, &self.id, self.row.version, &record);
        change.put(&EAB_ACCOUNTS, format!("{}/{account}", self.id), &());
    }
}

/// Adds to a change that a key's secret is gone.
pub(super) fn forget_secret(change: &mut Change, id: &str) {
    change.delete(&EAB_BOXES, id);
    change.delete(&EAB_SECRETS, id);
}

/// Whether a text has the shape of an id of ours.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == Id::LENGTH && text.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn busy() -> AcmeError {
    AcmeError::Unavailable("too many requests change the same external account key: try again".into())
}

/// Whether there is any MAC key.
#[cfg(test)]
pub(crate) fn has_secret(store: &crate::store::Store) -> bool {
    use std::ops::Bound::Unbounded;
    !store.scan(&EAB_BOXES, (Unbounded, Unbounded), 1, false).unwrap().is_empty() || has_plain_secret(store)
}

/// Whether there is any that is kept as it was before they were encrypted.
#[cfg(test)]
pub(crate) fn has_plain_secret(store: &crate::store::Store) -> bool {
    use std::ops::Bound::Unbounded;
    !store.scan(&EAB_SECRETS, (Unbounded, Unbounded), 1, false).unwrap().is_empty()
}

/// Keeps a MAC key as it was kept before they were encrypted.
#[cfg(test)]
pub(crate) async fn keep_as_before(acme: &Acme, id: &str, secret: &[u8]) {
    let mut change = Change::new();
    forget_secret(&mut change, id);
    change.insert(&EAB_SECRETS, id, &MacKey(Zeroizing::new(secret.to_vec())));
    acme.services.store.commit(change).await.unwrap();
}
