//! Certificates of another system whose issuing key moved into our token: read from the database of
//! `openssl ca` (`index.txt`), which most systems can write. Only their status is kept: it is listed in
//! CRLs and answered over OCSP, and they can be revoked here.

use std::io::BufRead;
use std::ops::Bound;

use policy::crl::Reason;
use policy::effects::UnixTime;
use policy::serial::Serial;

use super::tables::{CRL_HISTORY, CRLS};
use crate::store::status::{
    IMPORTED, Imported, OCSP, OCSP_DUE, OcspRow, REVOKED, RevokedEntry, after_prefix, due_key, list_prefix, serial_key,
};
use crate::store::tables::{CERTIFICATES, Revocation};
use crate::store::{Change, CommitError, Store, StoreError};

/// What came of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imports {
    /// Lines with a certificate.
    pub certificates: u64,
    /// Those that were not known, or not known to be revoked.
    pub new: u64,
    /// Those that are revoked.
    pub revoked: u64,
    /// Those that were signed here, and stay as they are.
    pub ours: u64,
}

/// Why an import stopped. What came before stays; it can be done again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("line {line}: {why}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The store.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads `index` to its end, a line at a time. Blocks. Done again, it changes nothing.
pub fn import(store: &Store, issuer_key: &str, index: impl BufRead, now: UnixTime) -> Result<Imports, ImportError> {
    let mut imports = Imports::default();
    let mut change = Change::new();
    let mut waiting = 0;
    for (number, line) in index.lines().enumerate() {
        let wrong = |why: String| ImportError::Line { line: number as u64 + 1, why };
        let line = line.map_err(|error| wrong(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let (serial, row) = parse(&line, issuer_key).map_err(wrong)?;
        imports.certificates += 1;
        imports.revoked += u64::from(row.revoked.is_some());
        if store.get(&CERTIFICATES, serial.as_bytes())?.is_some() {
            imports.ours += 1;
            continue;
        }
        let known = store.get(&IMPORTED, serial.as_bytes())?.map(|row| row.value);
        // What was revoked here stays revoked.
        if known.as_ref().is_some_and(|known| known.revoked.is_some() || row.revoked.is_none()) {
            continue;
        }
        imports.new += 1;
        stage(&mut change, issuer_key, serial, &row, now);
        waiting += 1;
        if waiting == BATCH {
            store.commit_blocking(std::mem::take(&mut change))?;
            waiting = 0;
        }
    }
    outdate(store, issuer_key, &mut change)?;
    store.commit_blocking(change)?;
    Ok(imports)
}

fn stage(change: &mut Change, issuer_key: &str, serial: Serial, row: &Imported, now: UnixTime) {
    change.put(&IMPORTED, serial.as_bytes(), row);
    let Some(revoked) = &row.revoked else { return };
    if row.not_after < now {
        // Its entry has left the CRL.
        return;
    }
    let entry = RevokedEntry { at: revoked.at, reason: revoked.reason, invalidity: None, not_after: row.not_after };
    change.put(&REVOKED, [&list_prefix(issuer_key, "all"), serial.as_bytes().as_slice()].concat(), &entry);
    let key = serial_key(issuer_key, serial.as_bytes());
    change.put(&OCSP, &key, &OcspRow { due: Some(now), asked: now, sha1: None, sha256: None });
    change.put(&OCSP_DUE, due_key(now, &key), &());
}

/// No CRL that was published before has what was imported: the next one is due at once, and no delta adds
/// to one of them.
fn outdate(store: &Store, issuer_key: &str, change: &mut Change) -> Result<(), StoreError> {
    let prefix = [issuer_key.as_bytes(), &[0]].concat();
    let end = after_prefix(&prefix);
    let range = (Bound::Included(prefix.as_slice()), Bound::Excluded(end.as_slice()));
    for table in [&CRLS, &CRL_HISTORY] {
        for (key, mut row) in store.scan(table, range, usize::MAX, false)? {
            row.value.journal = "import".to_owned();
            change.update(table, key, row.version, &row.value);
        }
    }
    Ok(())
}

/// A line of `index.txt`: flag, expiry, revocation, serial, file, subject, with tabs between them.
fn parse(line: &str, issuer_key: &str) -> Result<(Serial, Imported), String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [flag, expiry, revocation, serial, _file, subject] = fields[..] else {
        return Err(format!("{} fields instead of six, with tabs between them", fields.len()));
    };
    let revoked = match flag {
        "V" | "E" => None,
        "R" => {
            let mut parts = revocation.split(',');
            let at = time(parts.next().unwrap_or_default())?;
            let reason = match parts.next() {
                None | Some("unspecified") => None,
                Some("keyTime") => Some(Reason::KeyCompromise),
                Some("CAkeyTime") => Some(Reason::CaCompromise),
                Some("holdInstruction") => Some(Reason::CertificateHold),
                Some("CACompromise") => Some(Reason::CaCompromise),
                Some(word) => Some(word.parse::<Reason>().map_err(|error| error.to_string())?),
            };
            Some(Revocation { at, reason: reason.map(Reason::code), invalidity: None, actor: "import".to_owned() })
        }
        other => return Err(format!("`{other}` is not V, R or E")),
    };
    let serial = serial.parse().map_err(|error| format!("{error}"))?;
    let (issuer, subject) = (issuer_key.to_owned(), subject.chars().take(LONGEST).collect());
    Ok((serial, Imported { issuer, not_after: time(expiry)?, subject, revoked }))
}

/// `YYMMDDHHMMSSZ` (through 2049, RFC 5280 section 4.1.2.5.1) or `YYYYMMDDHHMMSSZ`.
fn time(text: &str) -> Result<UnixTime, String> {
    let wrong = || format!("`{text}` is not a time such as 261123050000Z");
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let digits = digits.ok_or_else(wrong)?;
    let two = |at: usize| digits.get(at..at + 2).and_then(|two| two.parse::<u8>().ok()).ok_or_else(wrong);
    let (year, at) = match digits.len() {
        12 => {
            let short = u16::from(two(0)?);
            (if short < 50 { 2000 + short } else { 1900 + short }, 2)
        }
        14 => (u16::from(two(0)?) * 100 + u16::from(two(2)?), 4),
        _ => return Err(wrong()),
    };
    let date = der::DateTime::new(year, two(at)?, two(at + 2)?, two(at + 4)?, two(at + 6)?, two(at + 8)?);
    date.map(|date| UnixTime(date.unix_duration().as_secs())).map_err(|_| wrong())
}

/// Certificates in one commit.
const BATCH: usize = 2000;

/// Longest subject that is kept, in characters.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{self, EngineKind};

    const INDEX: &str = "V\t300101000000Z\t\t0A\tunknown\t/CN=good\n\
        R\t300101000000Z\t260101000000Z,keyCompromise\t0B\tunknown\t/CN=bad\n\
        R\t20600101000000Z\t260102000000Z\t7FAABB\tunknown\t/CN=late\n\
        R\t200101000000Z\t190101000000Z,superseded\t0C\tunknown\t/CN=over\n\n\
        E\t200101000000Z\t\t0D\tunknown\t/CN=old\n";
    const NOW: UnixTime = UnixTime(1_795_392_000);

    fn open() -> (tempfile::TempDir, Store) {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(store::open(EngineKind::Sqlite, &place.path().join("store")).unwrap());
        (place, store)
    }

    fn rows<T: serde::de::DeserializeOwned>(store: &Store, table: &crate::store::Table<T>) -> usize {
        store.scan(table, (Bound::Unbounded, Bound::Unbounded), 100, false).unwrap().len()
    }

    #[test]
    fn the_database_of_openssl_is_read_once_however_often_it_is_imported() {
        let (_place, store) = open();
        let first = import(&store, "issuing-1", INDEX.as_bytes(), NOW).unwrap();
        assert_eq!(first, Imports { certificates: 5, new: 5, revoked: 3, ours: 0 });
        let again = import(&store, "issuing-1", INDEX.as_bytes(), NOW).unwrap();
        assert_eq!(again, Imports { new: 0, ..first });
        assert_eq!((rows(&store, &IMPORTED), rows(&store, &REVOKED), rows(&store, &OCSP_DUE)), (5, 2, 2));
        let serial: Serial = "0b".parse().unwrap();
        let revoked = store.get(&IMPORTED, serial.as_bytes()).unwrap().unwrap().value.revoked.unwrap();
        assert_eq!((revoked.at, revoked.reason), (UnixTime(1_767_225_600), Some(1)));
    }

    #[test]
    fn a_certificate_that_is_revoked_meanwhile_is_taken_over_as_such() {
        let (_place, store) = open();
        import(&store, "issuing-1", INDEX.as_bytes(), NOW).unwrap();
        let later = "R\t300101000000Z\t260301000000Z\t0A\tunknown\t/CN=good\n";
        assert_eq!(import(&store, "issuing-1", later.as_bytes(), NOW).unwrap().new, 1);
        assert_eq!(rows(&store, &REVOKED), 3);
    }

    #[test]
    fn what_is_wrong_is_answered_with_its_line() {
        let (_place, store) = open();
        for (text, words) in [
            ("V\t300101000000Z\t\t0A\tunknown\n", "six"),
            ("X\t300101000000Z\t\t0A\tunknown\t/CN=a\n", "V, R or E"),
            ("V\t301301000000Z\t\t0A\tunknown\t/CN=a\n", "not a time"),
            ("V\t300101000000Z\t\txyz\tunknown\t/CN=a\n", "serial number"),
            ("R\t300101000000Z\t260101000000Z,boredom\t0A\tunknown\t/CN=a\n", "RFC 5280"),
        ] {
            let text = format!("V\t300101000000Z\t\t01\tunknown\t/CN=a\n{text}");
            let error = import(&store, "issuing-1", text.as_bytes(), NOW).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(words), "{error}");
        }
    }
}
