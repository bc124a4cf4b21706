//! Looks at a rig that is down and says what must never be: a certificate that a client or the
//! journal holds and the store lacks, a serial used twice, an order in an impossible state.
//!
//! The journal is read here by its documented format alone (`cut -c66- | jq`), not by the code that
//! wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use daemon::issuance::orders::{ORDERS, OrderRecord};
use daemon::service::acme::AUTHORIZATIONS;
use daemon::store::tables::{CERTIFICATES, CERTIFICATES_BY_NAME, CertificateRecord, JOURNALS};
use daemon::store::{self, EngineKind, Store, Table};
use hsm::journal::{Entry, Event};
use policy::serial::Serial;
use serde::de::DeserializeOwned;
use x509_cert::der::Decode;

use crate::acme::Issued;
use crate::rig::{Engine, Layout, Record};

/// What was looked at; it says that the check was not empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Entries of the CA's journal.
    pub entries: usize,
    /// Certificates in the store.
    pub certificates: usize,
    /// Orders in the store.
    pub orders: usize,
    /// Orders that are complete.
    pub complete: usize,
}

/// Checks everything; the error is one fault a line.
pub fn verify(layout: &Layout, record: &Record, clients: &[Issued]) -> Result<Verified, String> {
    let entries = read_journal(&record.ca_state(layout).join("journal"))?;
    let kind = match record.engine {
        Engine::Sled => EngineKind::Sled,
        Engine::Sqlite => EngineKind::Sqlite,
    };
    let store = Store::new(store::open(kind, &record.store(layout)).map_err(|error| error.to_string())?);
    let contents = Contents::read(&entries, &store)?;
    let mut faults = Vec::new();
    contents.check_certificates(clients, &mut faults);
    contents.check_orders(&store, &mut faults)?;
    contents.check_position(&entries, &store, &mut faults)?;
    if faults.is_empty() {
        return Ok(Verified {
            entries: entries.len(),
            certificates: contents.stored.len(),
            orders: contents.orders.len(),
            complete: contents.orders.values().filter(|order| order.certificate.is_some()).count(),
        });
    }
    Err(faults.join("\n"))
}

/// Serial numbers of what a key has certified, by the journal alone. The rig may be up.
pub fn signed(layout: &Layout, record: &Record, key: &str) -> Result<Vec<Serial>, String> {
    let lines = read_journal(&record.ca_state(layout).join("journal"))?;
    let certificates = lines.iter().filter_map(|line| match &line.entry.event {
        Event::Certificate { certificate, issuer, .. } if issuer == key => Some(serial_of(certificate)),
        _ => None,
    });
    certificates.collect()
}

/// Extension of a segment's file.
const SEGMENT: &str = "log";

/// One line of the journal.
struct Line {
    hash: String,
    entry: Entry,
}

/// Every line of every segment, with the chain of hashes and the sequence checked.
fn read_journal(directory: &Path) -> Result<Vec<Line>, String> {
    let listing = std::fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut segments: Vec<_> = listing.flatten().map(|entry| entry.path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == SEGMENT));
    segments.sort();
    let mut lines: Vec<Line> = Vec::new();
    let mut before = [0u8; 32];
    for segment in &segments {
        let text = std::fs::read(segment).map_err(|error| format!("{}: {error}", segment.display()))?;
        for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let place = format!("{}:{}", segment.display(), number + 1);
            let Some(line) = line.strip_suffix(b"\n") else {
                // A torn write, never acknowledged: the signer cuts it off when it starts.
                if Some(segment) == segments.last() {
                    break;
                }
                return Err(format!("{place}: the line has no end"));
            };
            let (hash, json) = line.split_at_checked(65).ok_or_else(|| format!("{place}: the line is too short"))?;
            let found = digest(&SHA256, &[&before[..], json].concat());
            let hash = String::from_utf8_lossy(&hash[..64]).into_owned();
            if hash != hex(found.as_ref()) {
                return Err(format!("{place}: the hash does not follow from the line before"));
            }
            before.copy_from_slice(found.as_ref());
            let entry: Entry = serde_json::from_slice(json).map_err(|error| format!("{place}: {error}"))?;
            if entry.seq != lines.len() as u64 + 1 {
                return Err(format!("{place}: entry {} stands where {} belongs", entry.seq, lines.len() + 1));
            }
            lines.push(Line { hash, entry });
        }
    }
    Ok(lines)
}

/// What the journal and the store hold.
struct Contents {
    journalled: BTreeMap<Serial, Journalled>,
    /// Serials that the journal has twice.
    twice: Vec<Serial>,
    revoked: BTreeSet<Serial>,
    stored: BTreeMap<Serial, CertificateRecord>,
    /// Serials by name, from the index.
    named: BTreeSet<(String, Serial)>,
    orders: BTreeMap<String, OrderRecord>,
}

struct Journalled {
    certificate: Vec<u8>,
    order: Option<String>,
}

impl Contents {
    fn read(lines: &[Line], store: &Store) -> Result<Self, String> {
        let mut journalled = BTreeMap::new();
        let mut twice = Vec::new();
        let mut revoked = BTreeSet::new();
        for line in lines {
            match &line.entry.event {
                Event::Certificate { certificate, record, .. } => {
                    // Certificates of the ceremony by the root have serial numbers like all others.
                    let serial = serial_of(certificate)?;
                    let entry = Journalled { certificate: certificate.clone(), order: record.order.clone() };
                    if journalled.insert(serial, entry).is_some() {
                        twice.push(serial);
                    }
                }
                Event::Held { serials, .. } | Event::Revoked { serials, .. } => revoked.extend(serials),
                Event::Released { serials, .. } => {
                    revoked.retain(|serial| !serials.contains(serial));
                }
                _ => {}
            }
        }
        let stored = rows(store, &CERTIFICATES)?.into_iter().map(|(_, record)| (record.serial, record)).collect();
        let mut named = BTreeSet::new();
        for (key, ()) in rows(store, &CERTIFICATES_BY_NAME)? {
            let (name, serial) = key.split_at(key.len().saturating_sub(20));
            let serial = Serial::from_slice(serial).map_err(|error| error.to_string())?;
            named.insert((String::from_utf8_lossy(name).trim_end_matches('\0').to_owned(), serial));
        }
        let orders = rows(store, &ORDERS)?.into_iter();
        let orders = orders.map(|(key, order)| (String::from_utf8_lossy(&key).into_owned(), order)).collect();
        Ok(Self { journalled, twice, revoked, stored, named, orders })
    }

    fn check_certificates(&self, clients: &[Issued], faults: &mut Vec<String>) {
        faults.extend(self.twice.iter().map(|serial| format!("{serial} was signed twice")));
        for (serial, journalled) in &self.journalled {
            match self.stored.get(serial) {
                None => faults.push(format!("{serial} is in the journal and not in the store")),
                Some(record) if record.certificate != journalled.certificate => {
                    faults.push(format!("{serial} is another certificate in the store than in the journal"));
                }
                Some(_) => {}
            }
        }
        for (serial, record) in &self.stored {
            if !self.journalled.contains_key(serial) {
                faults.push(format!("{serial} is in the store and not in the journal"));
            }
            if self.revoked.contains(serial) != record.revoked.is_some() {
                faults.push(format!("{serial} is revoked in only one of journal and store"));
            }
            for evidence in &record.record.names {
                if !self.named.contains(&(evidence.name.to_string(), *serial)) {
                    faults.push(format!("{serial} is not found by its name {}", evidence.name));
                }
            }
        }
        let mut seen = BTreeSet::new();
        for issued in clients {
            let leaf = issued.chain[0].as_ref();
            match serial_of(leaf) {
                Ok(serial) if self.stored.get(&serial).is_none_or(|record| record.certificate != leaf) => {
                    faults.push(format!("{serial} is held by a client and not in the store"));
                }
                Ok(serial) if !seen.insert(serial) => faults.push(format!("two orders gave {serial}")),
                Ok(_) => {}
                Err(error) => faults.push(error),
            }
        }
    }

    fn check_orders(&self, store: &Store, faults: &mut Vec<String>) -> Result<(), String> {
        let mut of_order: BTreeMap<&str, Vec<Serial>> = BTreeMap::new();
        for (serial, journalled) in &self.journalled {
            if let Some(order) = &journalled.order {
                of_order.entry(order).or_default().push(*serial);
            }
        }
        for (id, serials) in &of_order {
            match (&serials[..], self.orders.get(*id)) {
                (_, None) => faults.push(format!("order {id} was certified and is not in the store")),
                ([serial], Some(order)) if order.certificate == Some(*serial) => {}
                ([serial], Some(order)) => {
                    faults.push(format!("order {id} was certified by {serial} and says {:?}", order.certificate));
                }
                (several, _) => faults.push(format!("order {id} was certified {} times", several.len())),
            }
        }
        let authorizations: BTreeMap<String, _> = rows(store, &AUTHORIZATIONS)?
            .into_iter()
            .map(|(key, record)| (String::from_utf8_lossy(&key).into_owned(), record))
            .collect();
        for (id, order) in &self.orders {
            if order.names.len() != order.authorizations.len() || order.names.is_empty() {
                faults.push(format!(
                    "order {id} has {} names and {} authorizations",
                    order.names.len(),
                    order.authorizations.len()
                ));
            }
            for (name, authorization) in order.names.iter().zip(&order.authorizations) {
                match authorizations.get(authorization) {
                    None => faults.push(format!("order {id} names authorization {authorization}, which is gone")),
                    Some(record) if record.name != name.base() => {
                        faults.push(format!("order {id} names an authorization for {}", record.name));
                    }
                    Some(record) if order.certificate.is_some() => {
                        if record.proof.is_none() {
                            faults.push(format!("order {id} is complete, and {name} was never proved"));
                        }
                    }
                    Some(_) => {}
                }
            }
            if let Some(serial) = order.certificate
                && self.journalled.get(&serial).is_none_or(|entry| entry.order.as_ref() != Some(id))
            {
                faults
                    .push(format!("order {id} says it was completed by {serial}, of which the journal knows nothing"));
            }
        }
        Ok(())
    }

    /// The store has taken over the journal to its end, and the same journal.
    fn check_position(&self, lines: &[Line], store: &Store, faults: &mut Vec<String>) -> Result<(), String> {
        let name = lines.iter().find_map(|line| match &line.entry.event {
            Event::Opened { journal, .. } => Some(journal.0.clone()),
            _ => None,
        });
        let Some(name) = name else { return Err("the journal does not say which it is".into()) };
        let position = store.get(&JOURNALS, &name).map_err(|error| error.to_string())?;
        let Some(position) = position.map(|row| row.value) else {
            faults.push(format!("the store knows nothing of journal {name}"));
            return Ok(());
        };
        let line = usize::try_from(position.seq).ok().and_then(|seq| lines.get(seq.checked_sub(1)?));
        match line {
            None => faults.push(format!("the store is ahead of the journal: {} of {}", position.seq, lines.len())),
            Some(line) if line.hash != position.hash => {
                faults.push(format!("entry {} of the journal is not the one that the store took over", position.seq));
            }
            Some(_) => {}
        }
        Ok(())
    }
}

/// Every row of a table.
fn rows<T: DeserializeOwned>(store: &Store, table: &Table<T>) -> Result<Vec<(Vec<u8>, T)>, String> {
    const PAGE: usize = 1000;
    let mut all: Vec<(Vec<u8>, T)> = Vec::new();
    loop {
        let last = all.last().map(|(key, _)| key.clone());
        let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let page = store.scan(table, (from, Bound::Unbounded), PAGE, false).map_err(|error| error.to_string())?;
        let count = page.len();
        all.extend(page.into_iter().map(|(key, row)| (key, row.value)));
        if count < PAGE {
            return Ok(all);
        }
    }
}

fn serial_of(der: &[u8]) -> Result<Serial, String> {
    let certificate = x509_cert::Certificate::from_der(der).map_err(|error| format!("not a certificate: {error}"))?;
    let serial = certificate.tbs_certificate().serial_number().as_bytes();
    Serial::from_slice(serial).map_err(|error| error.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
