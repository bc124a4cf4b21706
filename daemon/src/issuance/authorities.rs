//! Authorities as the store knows them, which is from the journal alone (J3), and what the signer is asked
//! to do to one.

use std::ops::Bound;
use std::time::{Duration, Instant};

use hsm::client::ClientError;
use hsm::journal::{Authority, AuthorityStep, Entry, Standing};
use hsm::wire::{Actor, AuthorityDeed, AuthorityRequest, Plan, Refusal, Request, Response};
use policy::authority::{AuthorityNumber, MOST};
use policy::effects::UnixTime;
use policy::tbs::Issuer;
use serde::{Deserialize, Serialize};

use super::ca::{Ca, CaError, unexpected};
use crate::store::{Store, StoreError, Table};

/// Every authority that was made while the appliance ran. Key: its number (u32, big-endian).
const AUTHORITIES: Table<AuthorityRecord> = Table::new("authorities");

/// An authority, since when, and whose doing that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRecord {
    /// What the journal says of it.
    pub authority: Authority,
    /// When it was planned.
    pub created: UnixTime,
    /// When it last changed.
    pub changed: UnixTime,
    /// Who changed it then, in the words of the journal.
    pub by: String,
}

impl AuthorityRecord {
    /// What an entry of the journal makes of an authority.
    pub(super) fn after(before: Option<Self>, step: AuthorityStep, authority: &Authority, entry: &Entry) -> Self {
        match before {
            // A new segment of the journal repeats what is known.
            Some(before) if step == AuthorityStep::Carried => Self { authority: authority.clone(), ..before },
            before => Self {
                authority: authority.clone(),
                created: before.map_or(entry.at, |before| before.created),
                changed: entry.at,
                by: entry.actor.clone(),
            },
        }
    }

    /// Its certificate as that of an issuer, if it has one.
    pub fn issuer(&self) -> Option<Issuer> {
        // The signer read it before it was journalled.
        Issuer::from_der(&self.authority.chain.first()?.0).ok()
    }
}

/// Every authority, by number.
pub fn all(store: &Store) -> Result<Vec<AuthorityRecord>, StoreError> {
    let rows = store.scan(&AUTHORITIES, (Bound::Unbounded, Bound::Unbounded), MOST, false)?;
    Ok(rows.into_iter().map(|(_, row)| row.value).collect())
}

/// The authority of this number.
pub fn read(store: &Store, number: AuthorityNumber) -> Result<Option<AuthorityRecord>, StoreError> {
    Ok(store.get(&AUTHORITIES, key(number))?.map(|row| row.value))
}

/// Writes what the journal says.
pub(super) fn write(change: &mut crate::store::Change, record: &AuthorityRecord) {
    change.put(&AUTHORITIES, key(record.authority.number), record);
}

fn key(number: AuthorityNumber) -> [u8; 4] {
    u32::from(number).to_be_bytes()
}

impl Ca {
    /// Has an authority made, and says which number it got. What was planned before and was interrupted is
    /// completed.
    pub(crate) async fn create_authority(&self, plan: Plan, actor: Actor) -> Result<AuthorityNumber, CaError> {
        let _one = self.alone().await;
        self.catch_up().await?;
        let all = all(self.store())?;
        let interrupted =
            all.iter().find(|record| record.authority.standing == Standing::Planned && is_of(&record.authority, &plan));
        let number = match (interrupted, all.last()) {
            (Some(record), _) => record.authority.number,
            (None, None) => AuthorityNumber::FIRST,
            (None, Some(last)) => last.authority.number.next().map_err(|error| {
                CaError::Signer(ClientError::Refused(Refusal::Policy(format!("{error}: no more can be made"))))
            })?,
        };
        self.do_to_authority(number, AuthorityDeed::Create(plan), actor).await?;
        Ok(number)
    }

    /// Does something to an authority. When it returns, journal and store have it. An answer that is lost
    /// is asked for again: what is done already changes nothing.
    pub(crate) async fn change_authority(
        &self,
        number: AuthorityNumber,
        deed: AuthorityDeed,
        actor: Actor,
    ) -> Result<(), CaError> {
        let _one = self.alone().await;
        self.do_to_authority(number, deed, actor).await
    }

    async fn do_to_authority(&self, number: AuthorityNumber, deed: AuthorityDeed, actor: Actor) -> Result<(), CaError> {
        let begun = Instant::now();
        loop {
            let request = AuthorityRequest { number, deed: deed.clone(), actor: actor.clone() };
            let ready = self.ready().await?;
            let error = match self.ask(Some(ready.epoch), Request::Authority(Box::new(request))).await {
                Ok(Response::Recorded { .. }) => return self.catch_up().await.map(drop),
                Ok(other) => return Err(unexpected(&other)),
                Err(error) => error,
            };
            // An RSA key takes longer than a client waits for an answer.
            let passes = error.is_lost() || matches!(error, CaError::Signer(ClientError::Refused(Refusal::Busy)));
            if !passes || begun.elapsed() > PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn is_of(authority: &Authority, plan: &Plan) -> bool {
    authority.profile == plan.profile
        && authority.kind == plan.kind
        && authority.key == plan.key
        && authority.subject == plan.subject
        && authority.names == plan.names
        && authority.not_after == plan.not_after
}

/// Longest time in which an authority is made: the signer may restart meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);
