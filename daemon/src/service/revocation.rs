//! Revocation by administrators: of one certificate, of a list, or of all that a question finds.

use std::ops::Bound;

use policy::effects::UnixTime;
use policy::evidence::Method;
use policy::serial::Serial;
use policy::tbs;

use super::Services;
use super::administrators::{Permitted, Scope};
use super::certificates::{self, RevokeError};
use super::peer::hex;
use crate::issuance::ca::CaError;
use crate::revocation;
use crate::store::StoreError;
use crate::store::status::{IMPORTED, after_prefix};
use crate::store::tables::{CERTIFICATES, CERTIFICATES_BY_GROUND, CertificateRecord, Ground};

pub use crate::revocation::Deed;

/// Which certificates: those that every part of it fits, that have not expired, and to which the deed
/// would be new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Whoever asked for it, in the words of the authorization record.
    pub actor: Option<String>,
    /// The profile.
    pub profile: Option<String>,
    /// Issued at that time or later.
    pub issued_after: Option<UnixTime>,
    /// Issued before that time.
    pub issued_before: Option<UnixTime>,
    /// A name of it was proved by this version of a validator.
    pub validator: Option<String>,
    /// A name of it was proved in this way.
    pub method: Option<Method>,
}

/// What one step of looking found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The certificates.
    pub serials: Vec<Serial>,
    /// Where the next step begins, if there is more to look at.
    pub next: Option<Serial>,
}

impl Services {
    /// One step of looking for certificates, from the one after `after` on: at most [`STEP`] of them are
    /// looked at, so that a step takes a bounded time whatever there is. If the question has a ground, only
    /// those are looked at that rest on it.
    pub fn find(
        &self,
        _permitted: &Permitted,
        question: &Question,
        deed: Deed,
        after: Option<Serial>,
    ) -> Result<Found, StoreError> {
        let now = self.clock.now();
        // An index that is being built leaves some out.
        let ground = if self.store.certificates_are_indexed()? { question.ground() } else { None };
        let records = match ground {
            Some(ground) => self.resting_on(&ground, after)?,
            None => {
                let from = after.as_ref().map_or(Bound::Unbounded, |serial| Bound::Excluded(&serial.as_bytes()[..]));
                let rows = self.store.scan(&CERTIFICATES, (from, Bound::Unbounded), STEP, false)?;
                rows.into_iter().map(|(_, row)| row.value).collect()
            }
        };
        let next = records.last().filter(|_| records.len() == STEP).map(|record| record.serial);
        let fits = |record: &CertificateRecord| {
            self.issues_as(&record.issuer)
                && question.fits(record)
                && !deed.is_done(record.revoked.as_ref())
                && tbs::Certificate::from_der(&record.certificate)
                    .is_ok_and(|certificate| now <= certificate.validity().not_after())
        };
        Ok(Found { serials: records.into_iter().filter(fits).map(|record| record.serial).collect(), next })
    }

    /// Certificates that rest on something, by serial number: at most [`STEP`] of them.
    fn resting_on(&self, ground: &Ground, after: Option<Serial>) -> Result<Vec<CertificateRecord>, StoreError> {
        let prefix = [ground.to_string().as_bytes(), &[0]].concat();
        let end = after_prefix(&prefix);
        let last = after.map(|serial| [prefix.as_slice(), serial.as_bytes()].concat());
        let from = last.as_deref().map_or(Bound::Included(prefix.as_slice()), Bound::Excluded);
        let rows = self.store.scan(&CERTIFICATES_BY_GROUND, (from, Bound::Excluded(end.as_slice())), STEP, false)?;
        let record = |(key, _): (Vec<u8>, _)| {
            let serial = &key[prefix.len()..];
            // They are written in one commit.
            let damaged = || StoreError::Damaged { tree: CERTIFICATES.tree.0, key: hex(serial) };
            Ok(self.store.get(&CERTIFICATES, serial)?.ok_or_else(damaged)?.value)
        };
        rows.into_iter().map(record).collect()
    }

    /// Does a deed to certificates: durable in the journal and in the store when this returns, and visible
    /// to relying parties at once. Says to how many it was new. Nothing is done if one of them is not
    /// ours, or may not be put on hold. Works while sealed.
    pub async fn act(&self, permitted: &Permitted, serials: &[Serial], deed: Deed) -> Result<usize, RevokeError> {
        // One that was journalled a moment ago is known.
        self.ca.catch_up().await.map(drop)?;
        for serial in serials {
            self.may(permitted, *serial, deed)?;
        }
        let (now, actor) = (self.clock.now(), permitted.actor());
        if let Deed::Revoke { invalidity: Some(invalidity), .. } = deed
            && invalidity > now
        {
            return Err(RevokeError::Invalidity);
        }
        let new = revocation::act(&self.ca, &self.store, serials, deed, now, &actor).await?;
        if new > 0 {
            tracing::info!(who = actor.who, deed = deed.word(), count = new, "certificates changed their status");
            self.revocation.wake();
        }
        Ok(new)
    }

    fn may(&self, permitted: &Permitted, serial: Serial, deed: Deed) -> Result<(), RevokeError> {
        let Some(row) = self.store.get(&CERTIFICATES, serial.as_bytes()).map_err(CaError::from)? else {
            return match self.store.get(&IMPORTED, serial.as_bytes()).map_err(CaError::from)? {
                Some(_) if permitted.scope() == Scope::Everything => Ok(()),
                _ => Err(CaError::Unknown("certificate").into()),
            };
        };
        let record = row.value;
        if !certificates::reaches(permitted, &record) {
            // Whoever may not see it is not told that it is there.
            return Err(CaError::Unknown("certificate").into());
        }
        let certificate = tbs::Certificate::from_der(&record.certificate);
        let issuer = self.issuer_called(&record.issuer).map_err(CaError::from)?;
        let by_us = |certificate: &tbs::Certificate| {
            issuer.as_ref().is_some_and(|issuer| certificate.verify(issuer.key()).is_ok())
        };
        if !certificate.as_ref().is_ok_and(by_us) {
            return Err(RevokeError::NotOurs(certificate.map_or(record.issuer, |certificate| certificate.issuer())));
        }
        let may_be_held = || self.profiles.now().get(&record.profile).is_some_and(|profile| profile.allows_hold());
        match deed {
            Deed::Hold if !may_be_held() => Err(RevokeError::NoHold { serial, profile: record.profile }),
            _ => Ok(()),
        }
    }
}

impl Question {
    /// What certificates must rest on, for the index that has few of them: of several the one that most
    /// likely has the fewest.
    fn ground(&self) -> Option<Ground> {
        let actor = self.actor.clone().map(Ground::Actor);
        actor.or_else(|| self.validator.clone().map(Ground::Validator)).or_else(|| self.method.map(Ground::Method))
    }

    fn fits(&self, record: &CertificateRecord) -> bool {
        let names = &record.record.names;
        self.actor.as_ref().is_none_or(|actor| record.record.actor == *actor)
            && self.profile.as_ref().is_none_or(|profile| record.profile == *profile)
            && self.issued_after.is_none_or(|after| after <= record.at)
            && self.issued_before.is_none_or(|before| record.at < before)
            && self.validator.as_ref().is_none_or(|validator| names.iter().any(|name| name.validator == *validator))
            && self.method.is_none_or(|method| names.iter().any(|name| name.method == method))
    }
}

/// Certificates looked at in one step.
const STEP: usize = 2000;
