//! Authorizations and their challenges (RFC 8555 sections 7.1.4, 7.4.1 and 7.5).

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use policy::effects::UnixTime;
use policy::evidence::Method;
use policy::name::Name;
use policy::profile::Profile;

use super::Acme;
use super::accounts::Account;
use super::error::{AcmeError, Rejection};
use super::identifiers::Identifier;
use super::orders::by_end;
use super::records::{AuthorizationRecord, AuthorizationStatus, ChallengeState};
use super::tables::{AUTHORIZATIONS, AUTHORIZATIONS_BY_END, AUTHORIZED_NAMES, CHALLENGE_TOKENS, VALIDATING};
use crate::config::Switch;
use crate::service::limits::{Ordered, Replaces};
use crate::store::{Change, CommitError, Versioned};
use crate::validation::Wildcard;

/// An authorization as its owner sees it.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Its id.
    pub id: String,
    /// Its row.
    pub record: AuthorizationRecord,
    /// Whether it can still be used.
    pub expired: Expired,
}

/// Whether the time of something is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Not yet.
    No,
    /// It is.
    Yes,
}

/// Where newAuthz led.
#[derive(Debug)]
pub enum PreAuthorized {
    /// To an authorization that is new.
    Created(Authorization),
    /// To one that was valid before.
    Found(Authorization),
}

impl Acme {
    /// The authorization of that id, for its owner.
    pub fn authorization(&self, account: &Account, id: &str) -> Result<Authorization, AcmeError> {
        let row = self.own_authorization(account, id)?;
        Ok(self.view(id, row.value))
    }

    /// The authorization of that id, if it has a challenge of that method.
    pub fn challenge(&self, account: &Account, id: &str, method: Method) -> Result<Authorization, AcmeError> {
        let row = self.own_authorization(account, id)?;
        row.value.challenge(method).ok_or(AcmeError::NotFound("challenge"))?;
        Ok(self.view(id, row.value))
    }

    /// Makes an authorization before there is an order (RFC 8555 section 7.4.1), or finds one that
    /// is valid already.
    pub async fn new_authorization(
        &self,
        account: &Account,
        identifier: &Identifier,
        from: Option<IpAddr>,
    ) -> Result<PreAuthorized, AcmeError> {
        if self.services.acme.orders.pre_authorization == Switch::Off {
            return Err(AcmeError::NotFound("resource"));
        }
        let reject = |why, detail: String| AcmeError::RejectedIdentifiers(vec![identifier.rejected(why, detail)]);
        let name = identifier.name().map_err(|rejected| AcmeError::RejectedIdentifiers(vec![rejected]))?;
        if name.is_wildcard() {
            return Err(reject(Rejection::Rejected, "a wildcard cannot be authorized before its order".into()));
        }
        self.within_bounds(account, std::slice::from_ref(&name), None)?;
        if let Some((id, record)) = self.authorized(&account.id, &name, self.now())? {
            return Ok(PreAuthorized::Found(self.view(&id, record)));
        }
        // Whichever profile the order will name: what none of them takes serves nobody.
        let all = self.services.profiles.now();
        let profiles = self.services.acme.profiles.iter().filter_map(|name| all.get(name));
        let bounds =
            |profile: &&Arc<Profile>| self.within_bounds(account, std::slice::from_ref(&name), Some(profile.name()));
        let fitting: HashSet<Method> = profiles
            .filter(|profile| profile.allows_name(&name).is_ok() && bounds(profile).is_ok())
            .flat_map(|profile| self.challenges(&name, profile))
            .collect();
        let offered = &self.services.acme.orders.challenges;
        let methods: Vec<Method> = offered.iter().copied().filter(|method| fitting.contains(method)).collect();
        if methods.is_empty() {
            return Err(reject(
                Rejection::Rejected,
                format!("no profile that is offered to this account can certify {name}"),
            ));
        }
        let ordered = Ordered {
            account: &account.id,
            limits: self.rate_limits(account)?,
            from,
            names: std::slice::from_ref(&name),
            replaces: Replaces::Nothing,
        };
        self.services.limits.new_order(&ordered, self.now())?;
        let mut change = Change::new();
        let (id, record) = self.add_authorization(&mut change, account, &name, None, &methods)?;
        self.services.store.commit(change).await?;
        Ok(PreAuthorized::Created(self.view(&id, record)))
    }

    /// The client is ready: validation begins, or is tried again at once (RFC 8555 section 8.2).
    /// A challenge that is decided stays as it is.
    pub async fn respond(
        self: &Arc<Self>,
        account: &Account,
        id: &str,
        method: Method,
    ) -> Result<Authorization, AcmeError> {
        let row = self.own_authorization(account, id)?;
        let mut record = row.value;
        let challenge = record.challenge(method).ok_or(AcmeError::NotFound("challenge"))?;
        let open = record.status == AuthorizationStatus::Pending && self.now() <= record.expires;
        match challenge.state {
            ChallengeState::Pending if open => {
                if self.validations.is_full() {
                    return Err(self.services.limits.too_many_validations().into());
                }
                self.services.limits.may_validate(&account.id, &record.name, self.now())?;
                let turn = self.services.limits.validation(&account.id)?;
                record.begin(method);
                let mut change = Change::new();
                change.update(&AUTHORIZATIONS, id, row.version, &record);
                change.put(&VALIDATING, validation_key(id, method), &());
                match self.services.store.commit(change).await {
                    Ok(()) => self.begin(id, method, Some(turn)),
                    // Another request of the same client began it.
                    Err(CommitError::Conflict(_)) => record = self.own_authorization(account, id)?.value,
                    Err(error) => return Err(error.into()),
                }
            }
            ChallengeState::Processing { .. } if open => self.begin(id, method, None),
            _ => {}
        }
        Ok(self.view(id, record))
    }

    /// Gives an authorization up (RFC 8555 section 7.5.2): it never serves an issuance again.
    pub async fn deactivate_authorization(&self, account: &Account, id: &str) -> Result<Authorization, AcmeError> {
        let row = self.own_authorization(account, id)?;
        self.end_authorization(id, row, AuthorizationStatus::Deactivated).await
    }

    /// Ends an authorization before its time. What is over stays as it is.
    pub(super) async fn end_authorization(
        &self,
        id: &str,
        row: Versioned<AuthorizationRecord>,
        status: AuthorizationStatus,
    ) -> Result<Authorization, AcmeError> {
        let mut record = row.value;
        if self.now() <= record.expires && record.end(status, "the authorization was given up") {
            let mut change = Change::new();
            change.update(&AUTHORIZATIONS, id, row.version, &record);
            for challenge in &record.challenges {
                change.delete(&VALIDATING, validation_key(id, challenge.method));
            }
            self.services.store.commit(change).await?;
        }
        Ok(self.view(id, record))
    }

    /// The account's valid authorization for `name`, which may be a wildcard, that lasts until
    /// `needed`, if there is one.
    pub(super) fn authorized(
        &self,
        account: &str,
        name: &Name,
        needed: UnixTime,
    ) -> Result<Option<(String, AuthorizationRecord)>, AcmeError> {
        let Some(id) = self.services.store.get(&AUTHORIZED_NAMES, format!("{account}/{name}"))? else {
            return Ok(None);
        };
        let Some(row) = self.services.store.get(&AUTHORIZATIONS, &id.value)? else { return Ok(None) };
        let valid = row.value.status == AuthorizationStatus::Valid && row.value.expires >= needed;
        Ok(valid.then_some((id.value, row.value)))
    }

    /// Adds to the change by what a new authorization is found.
    pub(super) fn note_authorization(&self, change: &mut Change, id: &str, record: &AuthorizationRecord) {
        change.put(&AUTHORIZATIONS_BY_END, by_end(record.expires, id), &());
        if self.services.acme.orders.upki_forms == Switch::On {
            for challenge in record.challenges.iter().filter(|challenge| !challenge.token.is_empty()) {
                change.put(&CHALLENGE_TOKENS, &challenge.token, &id.to_owned());
            }
        }
    }

    fn own_authorization(&self, account: &Account, id: &str) -> Result<Versioned<AuthorizationRecord>, AcmeError> {
        let row = self.services.store.get(&AUTHORIZATIONS, id)?.ok_or(AcmeError::NotFound("authorization"))?;
        if row.value.account != account.id {
            return Err(AcmeError::Unauthorized("the authorization belongs to another account".into()));
        }
        Ok(row)
    }

    pub(super) fn view(&self, id: &str, record: AuthorizationRecord) -> Authorization {
        let expired = if self.now() > record.expires { Expired::Yes } else { Expired::No };
        Authorization { id: id.to_owned(), record, expired }
    }
}

/// Names a validation that is under way.
pub(super) fn validation_key(id: &str, method: Method) -> String {
    format!("{id}/{}", method.as_str())
}

/// The name of an authorization as it stands in orders and certificates, `*` of a wildcard included.
pub(super) fn full_name(record: &AuthorizationRecord) -> String {
    match record.wildcard {
        Wildcard::No => record.name.to_string(),
        Wildcard::Yes => format!("*.{}", record.name),
    }
}
