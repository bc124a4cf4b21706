//! One-time seeds: with one a node asks for its first certificate. A seed is shown once, kept as a hash,
//! good for one certificate, and ends with its time or its node.

use std::ops::Bound;

use aws_lc_rs::digest::{SHA256, digest};
use hsm::wire::{Act, Actor};
use policy::effects::{EntropyError, UnixTime};
use policy::registration::{CommonName, Registration};
use policy::serial::Serial;
use zeroize::Zeroizing;

use super::super::peer::hex;
use super::super::rights::Permitted;
use super::super::{Failure, Random, RequestId, Services};
use super::records::{SEEDS, SEEDS_BY_NODE, SeedRecord, SeedState};
use super::{missing, node_key};
use crate::store::tables::{CERTIFICATES, CERTIFICATES_BY_NODE};
use crate::store::{Change, CommitError, StoreError, Versioned};

/// A seed: 256 random bits. It goes to who makes it, once.
pub struct Seed(Zeroizing<String>);

/// A seed in a list, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedListed {
    /// Names it in logs and in the journal: the beginning of its hash.
    pub id: String,
    /// When it was made.
    pub created: UnixTime,
    /// By whom, in the words of the journal.
    pub created_by: String,
    /// Last second in which it is good.
    pub expires: UnixTime,
    /// Whether it is good now.
    pub standing: SeedStanding,
}

/// Whether a seed is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeedStanding {
    /// Its time is over.
    Expired,
    /// It is good.
    Fresh,
    /// A certificate was made with it, or is being made.
    Used,
}

/// A seed that is held for one request, until it is used or given back.
pub(super) struct Held {
    key: String,
    row: Versioned<SeedRecord>,
}

/// What became of a seed that was presented.
pub(super) enum Presented {
    /// It is good, and held.
    Held(Held),
    /// It was good for this certificate, which was made.
    Used(Serial),
}

/// Longest and usual time in which a seed is good, in seconds.
pub const LONGEST: u64 = 90 * 86_400;
/// See [`LONGEST`].
pub const USUAL: u64 = 86_400;

/// How long a seed is held for a request of which nothing is heard, in seconds: then the daemon that held
/// it is gone, and whatever it had signed is in the store.
const PATIENCE: u64 = 120;

/// How long what is over is still listed, in seconds.
const KEPT: u64 = 30 * 86_400;

/// Most seeds of a node in a list; they are removed some time after their end.
const MOST: usize = 200;

impl Seed {
    fn random(random: &Random) -> Result<Self, EntropyError> {
        let octets = Zeroizing::new(random.bytes::<32>()?);
        Ok(Self(Zeroizing::new(hex(&*octets))))
    }

    /// As text, for who is to have it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Services {
    /// Makes a seed for a node: journalled, then in the store. It is given out here and never again.
    pub async fn issue_seed(
        &self,
        permitted: &Permitted,
        name: &CommonName,
        lifetime: u64,
    ) -> Result<(SeedListed, Seed), Failure> {
        let node = self.active_node(name)?.ok_or_else(|| missing(name))?.value;
        if !(1..=LONGEST).contains(&lifetime) {
            return Err(Failure::Conflict(format!("a seed is good for 1 to {LONGEST} seconds: write such a time")));
        }
        let now = self.clock.now();
        let seed = Seed::random(&self.random).map_err(|error| Failure::Internal(error.to_string()))?;
        let key = hash(seed.reveal());
        let record = SeedRecord {
            node: name.clone(),
            node_id: node.id,
            created: now,
            created_by: permitted.actor().who,
            expires: now.plus(lifetime),
            state: SeedState::Fresh,
        };
        let mut change = Change::new();
        let old = self.seed_rows(name)?;
        if old.len() >= MOST {
            return Err(Failure::Conflict(format!("the node `{name}` has {MOST} seeds: wait for some to end")));
        }
        for (key, old) in old.iter().filter(|(_, old)| old.value.expires.plus(KEPT) < now) {
            change.remove(&SEEDS, key, old.version);
            change.delete(&SEEDS_BY_NODE, seed_key(name, key));
        }
        change.insert(&SEEDS, &key, &record);
        change.put(&SEEDS_BY_NODE, seed_key(name, &key), &());
        let act = Act::IssueSeed { node: name.clone(), seed: key.clone(), expires: record.expires };
        self.ca.note(act, permitted.actor()).await?;
        self.store.commit(change).await?;
        tracing::info!(who = permitted.actor().who, node = %name, seed = id(&key), "seed made");
        Ok((listed(&key, record, now), seed))
    }

    /// The seeds of a node, those that are over for some time included.
    pub fn seeds(&self, _permitted: &Permitted, name: &CommonName) -> Result<Vec<SeedListed>, Failure> {
        let now = self.clock.now();
        let rows = self.seed_rows(name)?;
        let mut seeds: Vec<_> = rows.into_iter().map(|(key, row)| listed(&key, row.value, now)).collect();
        seeds.sort_by_key(|seed| seed.created);
        Ok(seeds)
    }

    /// Whose seed this is, if it is one of a node that is there. Nothing changes.
    pub(super) fn registration_of_seed(&self, seed: &str) -> Result<Registration, Failure> {
        let unknown = || Failure::Refused("this seed is not known: ask an administrator for another".into());
        let row = self.store.get(&SEEDS, hash(seed))?.ok_or_else(unknown)?;
        let node = self.active_node(&row.value.node)?.ok_or_else(unknown)?;
        if node.value.id == row.value.node_id { Ok(node.value.registration) } else { Err(unknown()) }
    }

    /// Holds a seed for a request, so that no other can use it: journalled first. Whoever comes second
    /// is refused, or told for which certificate it was good.
    pub(super) async fn hold_seed(&self, seed: &str, request: &RequestId) -> Result<Presented, Failure> {
        let key = hash(seed);
        let node = self.registration_of_seed(seed)?.common_name;
        let refused = |why: &str| Failure::Refused(format!("this seed {why}: ask an administrator for another"));
        let row = self.store.get(&SEEDS, &key)?.ok_or_else(|| refused("is not known"))?;
        let now = self.clock.now();
        match &row.value.state {
            SeedState::Used { certificate, .. } => return Ok(Presented::Used(*certificate)),
            SeedState::Taken { at, .. } if now.0 < at.0 + PATIENCE => {
                let why = "a certificate is being made with this seed: try again soon";
                return Err(Failure::Unavailable(why.into()));
            }
            SeedState::Taken { request, .. } => {
                if let Some(serial) = self.made_for(&node, request)? {
                    return self.settle(Held { key, row }, serial).await.map(|()| Presented::Used(serial));
                }
            }
            SeedState::Fresh => {}
        }
        if row.value.expires < now {
            return Err(refused("has expired"));
        }
        let actor = Actor { who: actor(&node), request_id: request.to_string() };
        self.ca.note(Act::UseSeed { node, seed: key.clone() }, actor).await?;
        let state = SeedState::Taken { at: now, request: request.to_string() };
        let record = SeedRecord { state, ..row.value };
        let mut change = Change::new();
        change.update(&SEEDS, &key, row.version, &record);
        match self.store.commit(change).await {
            Ok(()) => Ok(Presented::Held(Held { key, row: Versioned { value: record, version: row.version + 1 } })),
            Err(CommitError::Conflict(_)) => Err(refused("is being used by another request")),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// The certificate of a seed was made.
    pub(super) async fn settle(&self, held: Held, certificate: Serial) -> Result<(), Failure> {
        let state = SeedState::Used { at: self.clock.now(), certificate };
        self.put_back(held, state).await
    }

    /// No certificate came of it: the seed is good again.
    pub(super) async fn give_back(&self, held: Held) -> Result<(), Failure> {
        self.put_back(held, SeedState::Fresh).await
    }

    async fn put_back(&self, held: Held, state: SeedState) -> Result<(), Failure> {
        let mut change = Change::new();
        change.update(&SEEDS, &held.key, held.row.version, &SeedRecord { state, ..held.row.value });
        Ok(self.store.commit(change).await?)
    }

    /// As if the daemon had died between the signature and the note that the seed is used.
    #[cfg(test)]
    pub(crate) async fn forget_use_of_seed(&self, seed: &str) {
        let key = hash(seed);
        let row = self.store.get(&SEEDS, &key).unwrap().unwrap();
        let SeedState::Used { at, certificate } = row.value.state else { panic!("the seed was used") };
        let certificate = self.store.get(&CERTIFICATES, certificate.as_bytes()).unwrap().unwrap();
        let state = SeedState::Taken { at, request: certificate.value.record.request_id };
        let mut change = Change::new();
        change.update(&SEEDS, &key, row.version, &SeedRecord { state, ..row.value });
        self.store.commit(change).await.unwrap();
    }

    /// The certificate of a node that was made for this request.
    fn made_for(&self, node: &CommonName, request: &str) -> Result<Option<Serial>, StoreError> {
        let (prefix, end) = (node_key(node, 0), node_key(node, 1));
        let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
        for (key, _) in self.store.scan(&CERTIFICATES_BY_NODE, range, MOST, true)? {
            let Some(row) = self.store.get(&CERTIFICATES, &key[key.len() - 20..])? else { continue };
            if row.value.record.request_id == request {
                return Ok(Some(row.value.serial));
            }
        }
        Ok(None)
    }

    fn seed_rows(&self, name: &CommonName) -> Result<Vec<(String, Versioned<SeedRecord>)>, StoreError> {
        let (prefix, end) = (node_key(name, 0), node_key(name, 1));
        let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
        let mut found = Vec::new();
        for (key, _) in self.store.scan(&SEEDS_BY_NODE, range, MOST, false)? {
            let key = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
            if let Some(row) = self.store.get(&SEEDS, &key)? {
                found.push((key, row));
            }
        }
        Ok(found)
    }
}

/// How a node is called in the journal and in authorization records.
pub(super) fn actor(node: &CommonName) -> String {
    format!("node:{node}")
}

fn listed(key: &str, record: SeedRecord, now: UnixTime) -> SeedListed {
    let standing = match record.state {
        SeedState::Taken { .. } | SeedState::Used { .. } => SeedStanding::Used,
        SeedState::Fresh if record.expires < now => SeedStanding::Expired,
        SeedState::Fresh => SeedStanding::Fresh,
    };
    SeedListed {
        id: id(key).to_owned(),
        created: record.created,
        created_by: record.created_by,
        expires: record.expires,
        standing,
    }
}

fn seed_key(name: &CommonName, key: &str) -> Vec<u8> {
    [&node_key(name, 0), key.as_bytes()].concat()
}

/// The key of a seed.
fn hash(seed: &str) -> String {
    hex(digest(&SHA256, seed.as_bytes()).as_ref())
}

fn id(key: &str) -> &str {
    &key[..16]
}
