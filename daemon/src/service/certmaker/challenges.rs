//! Challenges that wait to be solved. Each belongs to the account that asked, for two hours.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::effects::UnixTime;
use policy::evidence::Method;
use serde::{Deserialize, Serialize};

use super::{Asked, CertMaker, CertMakerError, Failure, Key};
use crate::store::{Change, Table};

/// A challenge, as its account sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Its id, which begins with the account's.
    pub id: String,
    /// In which way control is shown: one of CertMaker's two.
    pub method: Method,
    /// What the file or the TXT record of each name holds.
    pub token: String,
    /// Last second in which it can be solved.
    pub valid_until: UnixTime,
}

/// Challenges. Key: id.
const CHALLENGES: Table<Record> = Table::new("certmaker_challenges");

/// When they end. Key: last second (u64, big-endian), id.
const CHALLENGES_BY_END: Table<()> = Table::new("certmaker_challenges_by_end");

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    account: String,
    asked: Asked,
    expires: UnixTime,
    methods: Vec<Method>,
    token: String,
    /// The other challenge for the same key, which ends with this one.
    twin: Option<String>,
}

/// How long a challenge can be solved, in seconds.
const LIFETIME: u64 = 2 * 3600;

/// Random octets of a token: 80 characters.
const TOKEN: usize = 60;

/// Most challenges over their end that one new one removes. Two come at most with it, so there are never
/// many.
const SWEEP: usize = 8;

const MISSING: &str = "there is no such challenge of this account, or its two hours are over: send the request again";

impl CertMaker {
    /// Makes the challenges of a request, one for each method. As in CertMaker, a CSR has one token for all
    /// of them, and a key that is to be made one for each.
    pub(super) async fn challenge(
        &self,
        account: &str,
        asked: Asked,
        methods: &[Method],
    ) -> Result<Vec<Challenge>, CertMakerError> {
        let now = self.services.clock.now();
        let expires = now.plus(LIFETIME);
        let mut change = Change::new();
        self.sweep(&mut change, now)?;
        let groups: Vec<&[Method]> = match asked.key {
            Key::Csr(_) => vec![methods],
            Key::Made => methods.chunks(1).collect(),
        };
        let tokens = groups.iter().map(|_| self.token()).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<String> = tokens.iter().map(|token| format!("{account}-{token}")).collect();
        let mut challenges = Vec::with_capacity(methods.len());
        for ((methods, token), id) in groups.into_iter().zip(tokens).zip(&ids) {
            let record = Record {
                account: account.to_owned(),
                asked: asked.clone(),
                expires,
                methods: methods.to_vec(),
                token: token.clone(),
                twin: ids.iter().find(|other| *other != id).cloned(),
            };
            change.insert(&CHALLENGES, id, &record);
            change.put(&CHALLENGES_BY_END, by_end(expires, id), &());
            challenges.extend(methods.iter().map(|method| Challenge {
                id: id.clone(),
                method: *method,
                token: token.clone(),
                valid_until: expires,
            }));
        }
        self.services.store.commit(change).await?;
        tracing::info!(account, names = asked.names.len(), "a certificate is asked for, and control is to be shown");
        Ok(challenges)
    }

    /// The challenge of the account with this id, if it can still be solved in this way, and what it is for.
    pub(super) fn open_challenge(
        &self,
        account: &str,
        id: &str,
        method: Method,
    ) -> Result<(Challenge, Asked), CertMakerError> {
        // A stranger's is not there for him.
        let row = self.services.store.get(&CHALLENGES, id)?.map(|row| row.value);
        let is_open = |record: &Record| record.account == account && self.services.clock.now() <= record.expires;
        let record = row.filter(is_open).ok_or(CertMakerError::Missing(MISSING))?;
        if !record.methods.contains(&method) {
            let why = "this challenge is not of that type: solve it in the way that its `challenge_type` says";
            return Err(CertMakerError::Invalid(why.to_owned()));
        }
        let challenge = Challenge { id: id.to_owned(), method, token: record.token, valid_until: record.expires };
        Ok((challenge, record.asked))
    }

    /// Removes a challenge that was solved, and its twin.
    pub(super) async fn forget(&self, id: &str) -> Result<(), CertMakerError> {
        let Some(record) = self.services.store.get(&CHALLENGES, id)?.map(|row| row.value) else { return Ok(()) };
        let mut change = Change::new();
        for id in record.twin.iter().map(String::as_str).chain([id]) {
            change.delete(&CHALLENGES, id);
            change.delete(&CHALLENGES_BY_END, by_end(record.expires, id));
        }
        Ok(self.services.store.commit(change).await?)
    }

    fn sweep(&self, change: &mut Change, now: UnixTime) -> Result<(), CertMakerError> {
        let end = now.0.to_be_bytes();
        let range = (Bound::Unbounded, Bound::Excluded(&end[..]));
        for (key, _) in self.services.store.scan(&CHALLENGES_BY_END, range, SWEEP, false)? {
            change.delete(&CHALLENGES, &key[8..]);
            change.delete(&CHALLENGES_BY_END, &key);
        }
        Ok(())
    }

    fn token(&self) -> Result<String, Failure> {
        let octets: [u8; TOKEN] = self.services.random.bytes().map_err(|error| Failure::Internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(octets))
    }
}

fn by_end(end: UnixTime, id: &str) -> Vec<u8> {
    [&end.0.to_be_bytes(), id.as_bytes()].concat()
}
