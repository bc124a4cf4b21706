//! Answers that cannot be signed, whoever is asked: they break a rule, or their record is damaged. They
//! are put aside and tried again ever more seldom, and hold up no others.

use std::collections::BTreeMap;

use policy::effects::UnixTime;

use super::row::{self, commit};
use super::{AnswerError, Responder};
use crate::store::status::{OCSP, OCSP_DUE, OcspRow, due_key};
use crate::store::{Change, StoreError};

/// What was put aside since the start, by its row's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pile {
    unfit: BTreeMap<Vec<u8>, Aside>,
    /// Answers that were refused.
    pub(super) refused: u64,
}

/// An answer that was put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// The certificate's serial number, hexadecimal.
    pub serial: String,
    /// Why it cannot be signed.
    pub why: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried again.
    pub again: UnixTime,
}

impl Pile {
    /// What was put aside and not signed since.
    pub(super) fn asides(&self) -> Vec<Aside> {
        self.unfit.values().cloned().collect()
    }
}

impl Responder {
    /// Notes that the answer of a row cannot be signed, and says so once. Gives when it is to be tried
    /// again.
    pub(super) fn set_aside(&self, key: &[u8], why: &str, now: UnixTime) -> UnixTime {
        let mut progress = self.progress();
        let pile = &mut progress.pile;
        pile.refused += 1;
        let before = pile.unfit.get(key);
        let tries = before.map_or(0, |before| before.tries);
        let again = now.plus((FIRST_PAUSE << tries.min(16)).min(LONGEST_PAUSE));
        let serial = self.serial(key).map_or_else(|| crate::issuance::hexadecimal(key), |serial| serial.to_string());
        if before.is_none_or(|before| before.why != why) {
            tracing::error!(serial, why, "an OCSP answer cannot be signed: it is put aside");
        }
        if before.is_some() || pile.unfit.len() < MOST {
            pile.unfit.insert(key.to_vec(), Aside { serial, why: why.to_owned(), tries: tries + 1, again });
        }
        again
    }

    /// The answer of a row was signed after all, or nobody needs it any more.
    pub(super) fn take_back(&self, key: &[u8]) {
        if let Some(aside) = self.progress().pile.unfit.remove(key) {
            tracing::info!(serial = aside.serial, "an OCSP answer that was put aside is all right again");
        }
    }

    /// Puts a row aside that was due at `at`: it is due again later, and others come first.
    pub(super) async fn postpone(&self, at: UnixTime, key: &[u8], why: &str, now: UnixTime) -> Result<(), AnswerError> {
        let again = self.set_aside(key, why, now);
        let store = &self.office.store;
        let mut change = Change::new();
        match row::read(store, key) {
            Ok(mut row) if row.value.due == Some(at) => {
                row.value.due = Some(again);
                row.stage(&mut change, key, Some(at));
            }
            Ok(_) => change.delete(&OCSP_DUE, due_key(at, key)),
            // Nothing in it cannot be made again.
            Err(StoreError::Damaged { .. } | StoreError::Invalid { .. }) => {
                change.delete(&OCSP_DUE, due_key(at, key));
                change.put(&OCSP, key, &OcspRow { due: Some(again), asked: now, ..OcspRow::default() });
                change.put(&OCSP_DUE, due_key(again, key), &());
            }
            Err(error) => return Err(error.into()),
        }
        commit(store.commit(change).await)
    }
}

/// Seconds until the second try; each pause is twice the one before.
const FIRST_PAUSE: u64 = 60;

/// Longest pause between two tries, in seconds.
const LONGEST_PAUSE: u64 = 3600;

/// Rows that are remembered.
const MOST: usize = 1000;
