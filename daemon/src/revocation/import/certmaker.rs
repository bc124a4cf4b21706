//! CertMaker's SQLite database, written as the database of `openssl ca` has it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use der::DateTime;
use policy::tbs::Certificate;
use rusqlite::{Connection, OpenFlags};

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// As `index.txt`.
    pub text: String,
    /// Certificates of which there is no file: they count as valid for as long as CertMaker gives at most.
    pub without_file: u64,
}

/// CertMaker's longest validity, in seconds.
const LONGEST: i64 = 182 * 86_400;

/// Reads `database`, and the files `NUMBER-cert.pem` in `certificates`, which CertMaker keeps in
/// `data/leafcerts`. The error is a sentence.
pub fn read(database: &Path, certificates: Option<&Path>) -> Result<Index, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error: rusqlite::Error| format!("this is no database of CertMaker: {error}");
    let connection = Connection::open_with_flags(database, flags).map_err(failed)?;
    let mut columns = connection.prepare("SELECT name FROM pragma_table_info('cert_info')").map_err(failed)?;
    let columns: Vec<String> = columns.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(failed)?;
    if columns.is_empty() {
        return Err("this is no database of CertMaker: it has no table `cert_info`".to_owned());
    }
    // Its first versions did not write down when.
    let at = if columns.iter().any(|column| column == "revoked_at") {
        "coalesce(revoked_at, updated_at)"
    } else {
        "updated_at"
    };
    let question = format!(
        "SELECT serial_number, CAST(strftime('%s', created_at) AS INTEGER), coalesce(revoked, 0), \
         CAST(strftime('%s', {at}) AS INTEGER) FROM cert_info ORDER BY serial_number"
    );
    let mut statement = connection.prepare(&question).map_err(failed)?;
    let rows = statement.query_map([], |row| {
        Ok(Row { serial: row.get(0)?, created: row.get(1)?, revoked: row.get(2)?, at: row.get(3)? })
    });
    let mut index = Index { text: String::new(), without_file: 0 };
    for row in rows.map_err(failed)? {
        row.map_err(failed)?.write(certificates, &mut index)?;
    }
    Ok(index)
}

struct Row {
    serial: i64,
    created: Option<i64>,
    revoked: bool,
    /// When it was revoked, if it was.
    at: Option<i64>,
}

impl Row {
    fn write(&self, certificates: Option<&Path>, index: &mut Index) -> Result<(), String> {
        let serial = self.serial;
        let of = |why: &str| format!("certificate {serial}: {why}");
        if serial <= 0 {
            return Err(of("this is no serial number"));
        }
        let file = certificates.map(|place| place.join(format!("{serial}-cert.pem"))).filter(|file| file.exists());
        let (expiry, subject) = match file {
            Some(file) => {
                let pem = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
                let unread =
                    |error: &dyn std::fmt::Display| format!("{}: it is no certificate: {error}", file.display());
                let (_, der) = der::pem::decode_vec(&pem).map_err(|error| unread(&error))?;
                let certificate = Certificate::from_der(&der).map_err(|error| unread(&error))?;
                let subject = certificate.subject();
                let name = certificate.names().first().map(|name| format!("CN={name}")).unwrap_or_default();
                let end = i64::try_from(certificate.validity().not_after().0).unwrap_or(i64::MAX);
                (end, if subject.is_empty() { name } else { subject })
            }
            None => {
                index.without_file += 1;
                let created =
                    self.created.ok_or_else(|| of("it has neither a file nor a time at which it was made"))?;
                (created + LONGEST, "CN=unknown".to_owned())
            }
        };
        let expiry = time(expiry).ok_or_else(|| of("its end cannot be written"))?;
        let subject: String =
            subject.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
        let revoked = match self.revoked {
            false => String::new(),
            true => self.at.and_then(time).ok_or_else(|| of("it is revoked, and nobody knows when"))?,
        };
        let flag = if self.revoked { 'R' } else { 'V' };
        writeln!(index.text, "{flag}\t{expiry}\t{revoked}\t{serial:x}\tunknown\t/{subject}")
            .expect("a String takes everything");
        Ok(())
    }
}

/// `YYYYMMDDHHMMSSZ`
fn time(seconds: i64) -> Option<String> {
    let date = DateTime::from_unix_duration(Duration::from_secs(u64::try_from(seconds).ok()?)).ok()?;
    Some(format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        date.year(),
        date.month(),
        date.day(),
        date.hour(),
        date.minutes(),
        date.seconds()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;

    /// A database as CertMaker's ORM makes it.
    fn database(place: &Path, columns: &str, rows: &str) -> std::path::PathBuf {
        let file = place.join("certmaker.db");
        let _ = std::fs::remove_file(&file);
        let connection = Connection::open(&file).unwrap();
        let common = "id INTEGER PRIMARY KEY, created_at datetime, updated_at datetime, deleted_at datetime";
        connection.execute_batch(&format!("CREATE TABLE cert_info ({common}, {columns}); {rows}")).unwrap();
        file
    }

    const TODAY: &str = "serial_number integer, from_csr numeric, created_for_user integer, revoked numeric DEFAULT 0, revoked_at datetime";

    #[test]
    fn certificates_and_revocations_of_every_version_are_read() {
        let place = tempfile::tempdir().unwrap();
        let rows = "INSERT INTO cert_info VALUES
            (1, '2026-11-01 10:00:00.5+00:00', '2026-11-01 10:00:00+00:00', NULL, 2, 0, 1, 0, NULL),
            (2, '2026-11-02 12:00:00+02:00', '2026-11-03 00:00:00+00:00', NULL, 255, 1, 1, 1, '2026-11-02 23:00:00.123456789+01:00'),
            (3, '2026-11-02 12:00:00+00:00', '2026-11-03 00:00:00+00:00', '2026-11-04 00:00:00+00:00', 9223372036854775807, 0, 1, 1, NULL);";
        let read = read(&database(place.path(), TODAY, rows), None).unwrap();
        assert_eq!(
            read.text,
            "V\t20270502100000Z\t\t2\tunknown\t/CN=unknown\n\
             R\t20270503100000Z\t20261102220000Z\tff\tunknown\t/CN=unknown\n\
             R\t20270503120000Z\t20261103000000Z\t7fffffffffffffff\tunknown\t/CN=unknown\n"
        );
        assert_eq!(read.without_file, 3);
        let first = "serial_number integer, created_for_user integer, revoked numeric, revoked_because text";
        let rows = "INSERT INTO cert_info VALUES
            (1, '2023-01-01 00:00:00+00:00', '2023-01-02 00:00:00+00:00', NULL, 7, 1, 1, 'superseded');";
        let read = super::read(&database(place.path(), first, rows), None).unwrap();
        assert_eq!(read.text, "R\t20230702000000Z\t20230102000000Z\t7\tunknown\t/CN=unknown\n");
    }

    #[test]
    fn a_file_says_how_long_its_certificate_lasts_and_whose_it_is() {
        let place = tempfile::tempdir().unwrap();
        let row = "INSERT INTO cert_info VALUES
            (1, '2026-11-01 10:00:00+00:00', NULL, NULL, 2, 0, 1, 0, NULL);";
        let issuer = Authority::new().issuer;
        let certificate = Certificate::from_der(issuer.certificate()).unwrap();
        let (database, file) = (database(place.path(), TODAY, row), place.path().join("2-cert.pem"));
        std::fs::write(&file, certificate.to_pem()).unwrap();
        let index = read(&database, Some(place.path())).unwrap();
        let end = time(certificate.validity().not_after().0 as i64).unwrap();
        assert_eq!(index.text, format!("V\t{end}\t\t2\tunknown\t/{}\n", certificate.subject()));
        assert_eq!(index.without_file, 0);
        std::fs::write(&file, "no PEM").unwrap();
        assert!(read(&database, Some(place.path())).unwrap_err().contains("2-cert.pem: it is no certificate"));
    }

    #[test]
    fn what_is_no_such_database_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("other");
        assert!(read(&file, None).is_err());
        std::fs::write(&file, "no database at all").unwrap();
        assert!(read(&file, None).unwrap_err().contains("no database of CertMaker"));
        for row in [
            "(1, NULL, NULL, NULL, 2, 0, 1, 0, NULL)",
            "(1, '2026-11-01 10:00:00', NULL, NULL, 2, 0, 1, 1, NULL)",
            "(1, '2026-11-01 10:00:00', NULL, NULL, 0, 0, 1, 0, NULL)",
        ] {
            let database = database(place.path(), TODAY, &format!("INSERT INTO cert_info VALUES {row};"));
            assert!(read(&database, None).unwrap_err().starts_with("certificate "), "{row}");
        }
    }
}
