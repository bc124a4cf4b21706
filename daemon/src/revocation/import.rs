//! Certificates of another system whose issuing key moved into our token: read from the database of
//! `openssl ca` (`index.txt`), which most systems can write. Only their status is kept: it is listed in
//! CRLs and answered over OCSP, and they can be revoked here.

pub mod certmaker;

use std::io::{self, BufRead, BufReader, Read, Seek};
use std::ops::Bound;

use aws_lc_rs::digest::{Context, SHA256};
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
    /// Somebody wrote to the file while it was read.
    #[error("the file changed while it was imported: import it again")]
    Changed,
    /// The file cannot be read.
    #[error("line {line}: {why}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// What is to come could not be put on record; nothing has changed.
    #[error("{0}")]
    Note(String),
    /// The store.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// It is.
    Real,
    /// It is only said what would be.
    Rehearsal,
}

/// What a file holds that can be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Lines with a certificate.
    pub certificates: u64,
}

/// Takes over what `index` holds, read to its end a line at a time. Blocks. First all of it is read and
/// `note` puts on record what is to come; only then does anything change. Done again, it changes nothing.
pub fn import(
    store: &Store,
    issuer_key: &str,
    mut index: impl Read + Seek,
    now: UnixTime,
    note: impl FnOnce(&Survey) -> Result<(), String>,
) -> Result<Imports, ImportError> {
    let survey = survey(BufReader::new(&mut index), issuer_key)?;
    note(&survey).map_err(ImportError::Note)?;
    index.rewind().map_err(|error| ImportError::Line { line: 1, why: error.to_string() })?;
    let mut hashed = Hashed { inner: index, context: Context::new(&SHA256) };
    let imports = take_over(store, issuer_key, BufReader::new(&mut hashed), now, Run::Real)?;
    match crate::issuance::hexadecimal(hashed.context.finish().as_ref()) == survey.sha256 {
        true => Ok(imports),
        false => Err(ImportError::Changed),
    }
}

/// What would come of an import. Nothing changes.
pub fn rehearse(store: &Store, issuer_key: &str, index: impl Read, now: UnixTime) -> Result<Imports, ImportError> {
    take_over(store, issuer_key, BufReader::new(index), now, Run::Rehearsal)
}

/// Reads everything, and changes nothing.
fn survey(index: impl BufRead, issuer_key: &str) -> Result<Survey, ImportError> {
    let mut hashed = Hashed { inner: index, context: Context::new(&SHA256) };
    let mut certificates = 0;
    for line in rows(BufReader::new(&mut hashed), issuer_key) {
        line?;
        certificates += 1;
    }
    Ok(Survey { sha256: crate::issuance::hexadecimal(hashed.context.finish().as_ref()), certificates })
}

/// The certificates of a file, in its order.
fn rows(index: impl BufRead, issuer_key: &str) -> impl Iterator<Item = Result<(Serial, Imported), ImportError>> {
    index.lines().enumerate().filter_map(move |(number, line)| {
        let read = |line: String| if line.trim().is_empty() { Ok(None) } else { parse(&line, issuer_key).map(Some) };
        let row = line.map_err(|error| error.to_string()).and_then(read).transpose()?;
        Some(row.map_err(|why| ImportError::Line { line: number as u64 + 1, why }))
    })
}

/// Many rows at a time, in the order of the store's trees: a page is written once for many certificates, not for
/// each. Of two rows for one certificate the one that revokes it comes last.
fn in_order<E>(
    mut rows: impl Iterator<Item = Result<(Serial, Imported), E>>,
) -> impl Iterator<Item = Result<(Serial, Imported), E>> {
    let some = std::iter::from_fn(move || {
        let some: Result<Vec<_>, E> = rows.by_ref().take(SORTED).collect();
        match some {
            Ok(some) if some.is_empty() => None,
            Ok(mut some) => {
                some.sort_by_key(|(serial, row)| (*serial, row.revoked.is_some()));
                Some(some.into_iter().map(Ok).collect())
            }
            Err(error) => Some(vec![Err(error)]),
        }
    });
    some.flatten()
}

/// What is read, and the hash of it.
struct Hashed<R> {
    inner: R,
    context: Context,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.context.update(&out[..read]);
        Ok(read)
    }
}

fn take_over(
    store: &Store,
    issuer_key: &str,
    index: impl BufRead,
    now: UnixTime,
    run: Run,
) -> Result<Imports, ImportError> {
    let mut imports = Imports::default();
    let mut change = Change::new();
    let mut waiting = 0;
    for row in in_order(rows(index, issuer_key)) {
        let (serial, row) = row?;
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
        if run == Run::Rehearsal {
            continue;
        }
        stage(&mut change, issuer_key, serial, &row, now);
        waiting += 1;
        if waiting == BATCH {
            store.commit_blocking(std::mem::take(&mut change))?;
            waiting = 0;
        }
    }
    if run == Run::Real {
        outdate(store, issuer_key, &mut change)?;
        store.commit_blocking(change)?;
    }
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
    change.put(&OCSP, &key, &OcspRow { due: Some(now), asked: now, ..OcspRow::default() });
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

/// Rows that are put in order at a time: some 60 MB of them.
const SORTED: usize = 200_000;

/// Certificates in one commit.
const BATCH: usize = 2000;

/// Longest subject that is kept, in characters.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

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

    fn take(store: &Store, text: &str) -> Result<Imports, ImportError> {
        import(store, "issuing-1", Cursor::new(text), NOW, |_| Ok(()))
    }

    fn rows<T: serde::de::DeserializeOwned>(store: &Store, table: &crate::store::Table<T>) -> usize {
        store.scan(table, (Bound::Unbounded, Bound::Unbounded), 100, false).unwrap().len()
    }

    #[test]
    fn the_database_of_openssl_is_read_once_however_often_it_is_imported() {
        let (_place, store) = open();
        let rehearsed = rehearse(&store, "issuing-1", INDEX.as_bytes(), NOW).unwrap();
        assert_eq!(rows(&store, &IMPORTED), 0);
        let first = take(&store, INDEX).unwrap();
        assert_eq!(rehearsed, first);
        assert_eq!(first, Imports { certificates: 5, new: 5, revoked: 3, ours: 0 });
        let again = take(&store, INDEX).unwrap();
        assert_eq!(again, Imports { new: 0, ..first });
        assert_eq!((rows(&store, &IMPORTED), rows(&store, &REVOKED), rows(&store, &OCSP_DUE)), (5, 2, 2));
        let serial: Serial = "0b".parse().unwrap();
        let revoked = store.get(&IMPORTED, serial.as_bytes()).unwrap().unwrap().value.revoked.unwrap();
        assert_eq!((revoked.at, revoked.reason), (UnixTime(1_767_225_600), Some(1)));
    }

    #[test]
    fn a_certificate_that_is_revoked_meanwhile_is_taken_over_as_such() {
        let (_place, store) = open();
        take(&store, INDEX).unwrap();
        let later = "R\t300101000000Z\t260301000000Z\t0A\tunknown\t/CN=good\n";
        assert_eq!(take(&store, later).unwrap().new, 1);
        assert_eq!(rows(&store, &REVOKED), 3);
    }

    #[test]
    fn a_certificate_that_is_revoked_in_one_line_is_revoked_whatever_another_says() {
        let (_place, store) = open();
        let (good, bad) =
            ("V\t300101000000Z\t\t0A\tunknown\t/CN=a\n", "R\t300101000000Z\t260301000000Z\t0A\tunknown\t/CN=a\n");
        take(&store, &format!("{bad}{good}")).unwrap();
        let serial: Serial = "0a".parse().unwrap();
        assert!(store.get(&IMPORTED, serial.as_bytes()).unwrap().unwrap().value.revoked.is_some());
        assert_eq!(rows(&store, &REVOKED), 1);
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
            let error = take(&store, &text).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(words), "{error}");
        }
    }

    #[test]
    fn nothing_changes_before_it_is_on_record_and_a_file_with_a_mistake_changes_nothing() {
        let (_place, store) = open();
        let mut noted = None;
        let refuse = |survey: &Survey| {
            noted = Some(survey.clone());
            Err("the signer does not answer".to_owned())
        };
        let refused = import(&store, "issuing-1", Cursor::new(INDEX), NOW, refuse);
        assert!(matches!(refused, Err(ImportError::Note(_))));
        let sha256 = aws_lc_rs::digest::digest(&SHA256, INDEX.as_bytes());
        let sha256 = crate::issuance::hexadecimal(sha256.as_ref());
        assert_eq!(noted, Some(Survey { sha256, certificates: 5 }));
        let half = format!("{INDEX}X\t300101000000Z\t\t0E\tunknown\t/CN=a\n");
        let never = |_: &Survey| panic!("it cannot be imported");
        assert!(matches!(
            import(&store, "issuing-1", Cursor::new(&half), NOW, never),
            Err(ImportError::Line { line: 7, .. })
        ));
        assert_eq!(rows(&store, &IMPORTED), 0);
    }
}
