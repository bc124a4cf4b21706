//! The store catches up with the signer's journal (J3): every certificate, revocation and
//! administrator that the journal holds, exactly once, in order, each page in one commit with the
//! position it ends at. Legal while sealed. Its time depends on what is new, not on what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use aws_lc_rs::digest::{Context, SHA256};
use hsm::client::Epoch;
use hsm::journal::{Entry, Event, FORMAT, JournalId};
use hsm::wire::{Request, Response, SealStatus};
use policy::authority::AuthorityNumber;
use policy::crl::Scope;
use policy::effects::UnixTime;
use policy::serial::Serial;
use policy::tbs::Certificate;

use super::authorities::{self, AuthorityRecord};
use super::ca::{Ca, CaError, Ready};
use super::hexadecimal;
use super::orders::{ORDERS, OrderRecord};
use super::requests::{self, REQUESTS, RequestRecord};
use crate::store::status::{self, Changed, IMPORTED, Imported};
use crate::store::tables::{
    ACTIVATIONS, ADMINISTRATORS, Activation, AdministratorRecord, CERTIFICATES, CertificateRecord, JOURNALS,
    JournalPosition, Revocation, index_certificate,
};
use crate::store::{Change, CommitError, Store, StoreError, Versioned};

/// Reads the journal, and remembers how far.
#[derive(Default)]
pub(super) struct Reader {
    /// The connection and journal in which the store's position was found to lie on the chain.
    on_chain: Option<(Epoch, JournalId)>,
}

impl Reader {
    /// Takes over what is new; says in which life of the connection, and how the signer is.
    pub(super) async fn run(&mut self, ca: &Ca) -> Result<(Ready, SealStatus), CaError> {
        let epoch = ca.epoch().await?;
        let Response::Status(status) = ca.ask(Some(epoch), Request::Status).await? else {
            return Err(CaError::Faulted(
                "the CA signer did not say how it is: install the same version of both programs".into(),
            ));
        };
        let journal = status.journal;
        let mut position = ca.store().get(&JOURNALS, &journal.0)?.map(|row| row.value);
        if position.is_none() {
            check_unknown(ca.store(), &journal)?;
        }
        let seq = position.as_ref().map_or(0, |position| position.seq);
        if seq > status.last {
            return Err(CaError::Faulted(format!(
                "the store is ahead of the journal: it has taken over {seq} entries of journal {}, which holds {}; the \
                 journal was restored from an old copy or cut: bring back the whole journal",
                journal.0, status.last
            )));
        }
        if self.on_chain.as_ref() != Some(&(epoch, journal.clone())) {
            if let Some(position) = &position
                && position.seq > 0
            {
                check_position(ca, epoch, &journal, position).await?;
            }
            self.on_chain = Some((epoch, journal.clone()));
        }
        // Only what was journalled when this began: under load there is always more.
        while position.as_ref().map_or(0, |position| position.seq) < status.last {
            let after = position.as_ref().map_or(0, |position| position.seq);
            let lines = journal_page(ca, epoch, after).await?;
            let (entries, end) = verify(&journal, position.as_ref(), &lines)?;
            take_over(ca.store(), &journal, &entries, &end).await?;
            position = Some(end);
        }
        Ok((Ready { epoch, journal }, status.seal))
    }
}

/// A journal that the store does not know must be its first. A signer that has lost its journal
/// starts another one, and the store is ahead of that as well.
fn check_unknown(store: &Store, journal: &JournalId) -> Result<(), CaError> {
    let known = store.scan(&JOURNALS, (Bound::Unbounded, Bound::Unbounded), MOST_NAMED, false)?;
    if known.is_empty() {
        return Ok(());
    }
    let known: Vec<String> =
        known.iter().map(|(id, row)| format!("{} ({} entries)", String::from_utf8_lossy(id), row.value.seq)).collect();
    let (known, id) = (known.join(", "), &journal.0);
    Err(CaError::Faulted(format!(
        "the store is ahead of the journal: it has taken over journal {known}, and the CA signer writes a new one, {id}: \
         bring back the old journal, or, if it is lost for good, stop signetd and run `signetd accept-journal {id}`"
    )))
}

/// How many known journals the sentence names.
const MOST_NAMED: usize = 4;

/// Why a journal is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// It is followed already.
    #[error("the store knows journal {0}: there is nothing to accept")]
    Known(String),
    /// It cannot be one.
    #[error("`{0}` is not the id of a journal: take the 32 hexadecimal digits that `signetctl status` shows")]
    NotAnId(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets the store follow, from its beginning, a journal that it does not know although it knows
/// others: somebody looked, and they are lost for good. Blocks.
pub fn accept_journal(store: &Store, id: &str) -> Result<(), AcceptError> {
    if id.len() != 32 || !id.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(AcceptError::NotAnId(id.to_owned()));
    }
    let mut change = Change::new();
    change.insert(&JOURNALS, id, &beginning());
    store.commit_blocking(change).map_err(|error| match error {
        CommitError::Conflict(_) => AcceptError::Known(id.to_owned()),
        CommitError::Store(error) => error.into(),
    })
}

/// Before the first entry of any journal.
fn beginning() -> JournalPosition {
    JournalPosition { seq: 0, hash: "0".repeat(64) }
}

/// The entry at the store's position must be the one that the store took over.
async fn check_position(ca: &Ca, epoch: Epoch, journal: &JournalId, position: &JournalPosition) -> Result<(), CaError> {
    let lines = journal_page(ca, epoch, position.seq.saturating_sub(1)).await?;
    if lines[0].get(..64) == Some(position.hash.as_str()) {
        return Ok(());
    }
    Err(CaError::Faulted(format!(
        "entry {} of journal {} is not the one that the store took over: one of them was restored from another time; \
         check a copy with `signet-signer journal verify`",
        position.seq, journal.0
    )))
}

/// The lines after `after`; at least one.
async fn journal_page(ca: &Ca, epoch: Epoch, after: u64) -> Result<Vec<String>, CaError> {
    match ca.ask(Some(epoch), Request::Journal { after }).await? {
        Response::Journal { lines, .. } if !lines.is_empty() => Ok(lines),
        _ => Err(CaError::Faulted(format!("the CA signer's journal ends at {after}, before the end that it names"))),
    }
}

/// Checks the hash chain line by line; gives the entries, and the position after them.
fn verify(
    journal: &JournalId,
    position: Option<&JournalPosition>,
    lines: &[String],
) -> Result<(Vec<Entry>, JournalPosition), CaError> {
    let mut at = position.cloned().unwrap_or_else(beginning);
    let mut entries = Vec::with_capacity(lines.len());
    for line in lines {
        let seq = at.seq + 1;
        let broken = |why: &str| {
            CaError::Faulted(format!(
                "entry {seq} of journal {} {why}: do not issue, and check a copy with `signet-signer journal verify`",
                journal.0
            ))
        };
        let line = line.strip_suffix('\n').unwrap_or(line);
        let (hash, json) = line.split_at_checked(64).ok_or_else(|| broken("is too short"))?;
        let json = json.strip_prefix(' ').ok_or_else(|| broken("is not a hash, a space and an entry"))?;
        if chain(&at.hash, json).as_deref() != Some(hash) {
            return Err(broken("breaks the hash chain"));
        }
        let entry = parse(json).map_err(|why| broken(&why))?;
        if entry.seq != seq {
            return Err(broken("carries another number"));
        }
        entries.push(entry);
        at = JournalPosition { seq, hash: hash.to_owned() };
    }
    Ok((entries, at))
}

/// SHA-256(previous hash ‖ JSON), lower-case hexadecimal; `None` if the previous hash is not one.
fn chain(previous: &str, json: &str) -> Option<String> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let mut raw = [0u8; 32];
    for (octet, pair) in raw.iter_mut().zip(previous.as_bytes().chunks_exact(2)) {
        *octet = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    let mut context = Context::new(&SHA256);
    context.update(&raw);
    context.update(json.as_bytes());
    Some(hexadecimal(context.finish().as_ref()))
}

fn parse(json: &str) -> Result<Entry, String> {
    let entry: Entry = serde_json::from_str(json).map_err(|error| {
        format!("cannot be read by this version ({error}): install the version of signetd that fits the signer")
    })?;
    match &entry.event {
        Event::Opened { format, .. } if *format > FORMAT => Err(format!(
            "says that the journal has format {format}, newer than {FORMAT}: install the version that wrote it"
        )),
        _ => Ok(entry),
    }
}

/// Commits entries and the position after them. Requests in flight write some of the same rows;
/// then both are right, and the loser looks again.
async fn take_over(
    store: &Store,
    journal: &JournalId,
    entries: &[Entry],
    end: &JournalPosition,
) -> Result<(), CaError> {
    for _ in 0..CONFLICTS {
        let mut staged = Staged {
            store,
            journal,
            certificates: BTreeMap::new(),
            imported: BTreeMap::new(),
            statuses: BTreeMap::new(),
            orders: BTreeMap::new(),
            requests: BTreeMap::new(),
            administrators: BTreeMap::new(),
            activations: BTreeMap::new(),
            authorities: BTreeMap::new(),
        };
        for entry in entries {
            staged.apply(entry)?;
        }
        let mut change = staged.into_change();
        change.put(&JOURNALS, &journal.0, end);
        match store.commit(change).await {
            Err(CommitError::Conflict(_)) => {}
            other => return Ok(other?),
        }
    }
    Err(CaError::Faulted("the store's rows change faster than the journal can be taken over: restart signetd".into()))
}

/// The scopes of the CRLs that list a certificate when it is revoked (all, and the shard that its CRL
/// distribution point names, if it names one), and the last second of its validity. What was signed
/// can be read; if not, it is listed for good.
fn listed_in(certificate: &[u8]) -> (Vec<String>, UnixTime) {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return (vec![Scope::All.to_string()], UnixTime(u64::MAX));
    };
    let named = certificate.crl_urls();
    let scope = |url: &String| Some(Scope::named_in(url, Serial::from_slice(certificate.serial()).ok()?));
    let scopes: BTreeSet<Scope> = named.iter().filter_map(scope).chain([Scope::All]).collect();
    (scopes.iter().map(Scope::to_string).collect(), certificate.validity().not_after())
}

/// certificateHold, RFC 5280 section 5.3.1.
const HOLD: u8 = 6;

/// How often a commit is tried against requests in flight.
const CONFLICTS: usize = 64;

/// Rows as they will be, read when an entry first touches them.
struct Staged<'a> {
    store: &'a Store,
    journal: &'a JournalId,
    certificates: BTreeMap<Serial, Row<CertificateRecord>>,
    imported: BTreeMap<Serial, Row<Imported>>,
    /// Certificates whose status changed, and the last entry that changed it.
    statuses: BTreeMap<Serial, (u64, UnixTime)>,
    orders: BTreeMap<String, Row<OrderRecord>>,
    requests: BTreeMap<String, Row<RequestRecord>>,
    administrators: BTreeMap<String, Row<AdministratorRecord>>,
    /// The last one of each issuer: no row of it is anybody else's.
    activations: BTreeMap<String, Activation>,
    /// The same of each authority.
    authorities: BTreeMap<AuthorityNumber, AuthorityRecord>,
}

struct Row<T> {
    /// Version of the row in the store, if there is one.
    version: Option<u64>,
    value: T,
    touch: Touch,
}

#[derive(PartialEq, Eq)]
enum Touch {
    Changed,
    Read,
}

impl<T> Row<T> {
    fn read(row: Versioned<T>) -> Self {
        Self { version: Some(row.version), value: row.value, touch: Touch::Read }
    }

    /// Makes a change that says whether it was one.
    fn change(&mut self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let changed = change(&mut self.value);
        if changed {
            self.touch = Touch::Changed;
        }
        changed
    }
}

impl Staged<'_> {
    fn apply(&mut self, entry: &Entry) -> Result<(), CaError> {
        match &entry.event {
            Event::Certificate { certificate, profile, profile_sha256, issuer, record } => {
                let serial = Certificate::from_der(certificate)
                    .ok()
                    .and_then(|certificate| Serial::from_slice(certificate.serial()).ok())
                    .ok_or_else(|| {
                        CaError::Faulted(format!(
                            "entry {} of the journal holds a certificate that cannot be read",
                            entry.seq
                        ))
                    })?;
                let new = CertificateRecord {
                    serial,
                    certificate: certificate.clone(),
                    profile: profile.clone(),
                    profile_sha256: profile_sha256.clone(),
                    issuer: issuer.clone(),
                    record: record.clone(),
                    journal: self.journal.0.clone(),
                    seq: entry.seq,
                    at: entry.at,
                    revoked: None,
                };
                match self.certificate(serial)? {
                    Some(row) if row.value.certificate == *certificate => {}
                    Some(_) => {
                        return Err(CaError::Faulted(format!(
                            "the journal and the store hold different certificates with serial {serial}: stop, and compare both"
                        )));
                    }
                    None => {
                        self.certificates.insert(serial, Row { version: None, value: new, touch: Touch::Changed });
                    }
                }
                match record.order.as_deref().map(|order| (order, requests::id_in(order))) {
                    Some((_, Some(id))) => self.complete_request(id, serial, &record.actor, entry.at)?,
                    Some((order, None)) => self.complete(order, serial)?,
                    None => {}
                }
            }
            Event::Revoked { serials, reason, at, invalidity_date } => {
                self.change_status(serials, entry, |revoked| {
                    let held = revoked.take_if(|revoked| revoked.reason == Some(HOLD));
                    if revoked.is_some() {
                        return false;
                    }
                    // It was no good from the hold on.
                    let at = held.map_or(*at, |held| held.at.min(*at));
                    let (invalidity, actor) = (*invalidity_date, entry.actor.clone());
                    *revoked = Some(Revocation { at, reason: *reason, invalidity, actor });
                    true
                })?;
            }
            Event::Held { serials, at } => self.change_status(serials, entry, |revoked| {
                let new = revoked.is_none();
                revoked.get_or_insert_with(|| Revocation {
                    at: *at,
                    reason: Some(HOLD),
                    invalidity: None,
                    actor: entry.actor.clone(),
                });
                new
            })?,
            Event::Released { serials, .. } => self.change_status(serials, entry, |revoked| {
                revoked.take_if(|revoked| revoked.reason == Some(HOLD)).is_some()
            })?,
            Event::AdministratorEnrolled { name, fingerprint, role } => {
                let new = AdministratorRecord { name: name.clone(), role: *role, enrolled: entry.at, removed: None };
                match self.administrator(fingerprint)? {
                    Some(row) => (row.value, row.touch) = (new, Touch::Changed),
                    None => {
                        let row = Row { version: None, value: new, touch: Touch::Changed };
                        self.administrators.insert(fingerprint.clone(), row);
                    }
                }
            }
            Event::AdministratorRemoved { fingerprint } => {
                if let Some(row) = self.administrator(fingerprint)? {
                    row.value.removed = Some(entry.at);
                    row.touch = Touch::Changed;
                }
            }
            Event::AdministratorRoleSet { fingerprint, role } => {
                if let Some(row) = self.administrator(fingerprint)? {
                    row.value.role = *role;
                    row.touch = Touch::Changed;
                }
            }
            Event::Authority { step, authority } => {
                let before = match self.authorities.remove(&authority.number) {
                    None => authorities::read(self.store, authority.number)?,
                    before => before,
                };
                let after = AuthorityRecord::after(before, *step, authority, entry);
                self.authorities.insert(authority.number, after);
            }
            Event::CaActivated { issuer, forced: _, failures } => {
                let (at, actor, failures) = (entry.at, entry.actor.clone(), failures.clone());
                self.activations.insert(issuer.clone(), Activation { at, actor, failures });
            }
            // What is done in ACME, with requests, tokens and nodes is written to the store by the one who journals it.
            Event::AccountBound { .. }
            | Event::AccountEnded { .. }
            | Event::Ceremony { .. }
            | Event::Counted { .. }
            | Event::Crl { .. }
            | Event::EabKeyCreated { .. }
            | Event::EabKeyRevoked { .. }
            // Who imports writes it to the store, once this entry is there.
            | Event::Imported { .. }
            | Event::KeyMade { .. }
            | Event::NodeDeleted { .. }
            | Event::NodeRegistered { .. }
            | Event::Numbers { .. }
            | Event::Ocsp { .. }
            | Event::Opened { .. }
            | Event::ProfileLoaded { .. }
            | Event::RequestApproved { .. }
            | Event::RequestRejected { .. }
            | Event::Sealed
            | Event::SeedIssued { .. }
            | Event::SeedUsed { .. }
            | Event::Started { .. }
            | Event::TokenCreated { .. }
            | Event::TokenSet { .. }
            | Event::UnsealAttempted
            | Event::UnsealFailed { .. }
            | Event::Unsealed => {}
        }
        Ok(())
    }

    /// The order that a certificate completes is valid, with that certificate.
    fn complete(&mut self, order: &str, serial: Serial) -> Result<(), CaError> {
        if !self.orders.contains_key(order) {
            let Some(row) = self.store.get(&ORDERS, order)? else { return Ok(()) };
            self.orders.insert(order.to_owned(), Row::read(row));
        }
        let row = self.orders.get_mut(order).expect("it was just inserted");
        if row.value.complete(order, serial) {
            row.touch = Touch::Changed;
        }
        Ok(())
    }

    /// The request that a certificate completes is issued, with that certificate.
    fn complete_request(&mut self, id: &str, serial: Serial, by: &str, at: UnixTime) -> Result<(), CaError> {
        if !self.requests.contains_key(id) {
            let Some(row) = self.store.get(&REQUESTS, id)? else { return Ok(()) };
            self.requests.insert(id.to_owned(), Row::read(row));
        }
        let row = self.requests.get_mut(id).expect("it was just inserted");
        row.change(|request| request.complete(serial, by, at));
        Ok(())
    }

    /// Changes the status of certificates that an entry speaks of; `change` says whether it did.
    fn change_status(
        &mut self,
        serials: &[Serial],
        entry: &Entry,
        change: impl Fn(&mut Option<Revocation>) -> bool,
    ) -> Result<(), CaError> {
        for serial in serials {
            let changed = match self.certificate(*serial)? {
                Some(row) => row.change(|record| change(&mut record.revoked)),
                None => match self.imported(*serial)? {
                    Some(row) => row.change(|record| change(&mut record.revoked)),
                    None => {
                        return Err(CaError::Faulted(format!(
                            "entry {} of the journal speaks of certificate {serial}, which neither it nor the store has: bring back the whole journal, and import again what was imported",
                            entry.seq
                        )));
                    }
                },
            };
            if changed {
                self.statuses.insert(*serial, (entry.seq, entry.at));
            }
        }
        Ok(())
    }

    fn certificate(&mut self, serial: Serial) -> Result<Option<&mut Row<CertificateRecord>>, CaError> {
        if !self.certificates.contains_key(&serial) {
            let Some(row) = self.store.get(&CERTIFICATES, serial.as_bytes())? else { return Ok(None) };
            self.certificates.insert(serial, Row::read(row));
        }
        Ok(self.certificates.get_mut(&serial))
    }

    fn imported(&mut self, serial: Serial) -> Result<Option<&mut Row<Imported>>, CaError> {
        if !self.imported.contains_key(&serial) {
            let Some(row) = self.store.get(&IMPORTED, serial.as_bytes())? else { return Ok(None) };
            self.imported.insert(serial, Row::read(row));
        }
        Ok(self.imported.get_mut(&serial))
    }

    /// What follows for CRL and OCSP from the changes of status.
    fn stage_statuses(&self, change: &mut Change) {
        for (serial, (seq, at)) in &self.statuses {
            let changed = |issuer, scopes, not_after| Changed {
                issuer,
                scopes,
                serial: serial.as_bytes(),
                not_after,
                journal: &self.journal.0,
                seq: *seq,
                at: *at,
            };
            if let Some(Row { value: record, .. }) = self.certificates.get(serial) {
                let (scopes, not_after) = listed_in(&record.certificate);
                status::stage(change, &changed(&record.issuer, &scopes, not_after), record.revoked.as_ref());
            } else if let Some(Row { value: record, .. }) = self.imported.get(serial) {
                let scopes = [Scope::All.to_string()];
                status::stage(change, &changed(&record.issuer, &scopes, record.not_after), record.revoked.as_ref());
            }
        }
    }

    fn administrator(&mut self, fingerprint: &str) -> Result<Option<&mut Row<AdministratorRecord>>, CaError> {
        if !self.administrators.contains_key(fingerprint) {
            let Some(row) = self.store.get(&ADMINISTRATORS, fingerprint)? else { return Ok(None) };
            self.administrators.insert(fingerprint.to_owned(), Row::read(row));
        }
        Ok(self.administrators.get_mut(fingerprint))
    }

    fn into_change(self) -> Change {
        let mut change = Change::new();
        for (serial, row) in &self.certificates {
            match row.version {
                Some(version) if row.touch == Touch::Changed => {
                    change.update(&CERTIFICATES, serial.as_bytes(), version, &row.value);
                }
                Some(_) => {}
                None => {
                    change.insert(&CERTIFICATES, serial.as_bytes(), &row.value);
                    index_certificate(&mut change, &row.value);
                }
            }
        }
        for (serial, row) in &self.imported {
            if let (Some(version), Touch::Changed) = (row.version, &row.touch) {
                change.update(&IMPORTED, serial.as_bytes(), version, &row.value);
            }
        }
        self.stage_statuses(&mut change);
        for (order, row) in &self.orders {
            if let (Some(version), Touch::Changed) = (row.version, &row.touch) {
                change.update(&ORDERS, order, version, &row.value);
            }
        }
        for (issuer, activation) in &self.activations {
            change.put(&ACTIVATIONS, issuer, activation);
        }
        for record in self.authorities.values() {
            authorities::write(&mut change, record);
        }
        for (id, row) in &self.requests {
            if let (Some(version), Touch::Changed) = (row.version, &row.touch) {
                change.update(&REQUESTS, id, version, &row.value);
            }
        }
        for (fingerprint, row) in &self.administrators {
            match row.version {
                Some(version) if row.touch == Touch::Changed => {
                    change.update(&ADMINISTRATORS, fingerprint, version, &row.value);
                }
                Some(_) => {}
                None => change.insert(&ADMINISTRATORS, fingerprint, &row.value),
            }
        }
        change
    }
}
