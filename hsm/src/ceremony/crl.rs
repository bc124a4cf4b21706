//! The CRL of the root: signed in the ceremony, and on the console while the root's token is attached.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use policy::crl::{self, Draft, Entry, Envelope, Facts, Mark, Reason, Scope, Writer};
use policy::effects::UnixTime;
use policy::serial::Serial;
use policy::tbs::{Certificate, Issuer};

use super::CeremonyError;
use super::certify::Certifier;
use super::record::{Ledger, entries, hexadecimal};
use crate::journal::Event;

/// A CRL that is in the journal.
pub(crate) struct SignedCrl {
    pub(crate) der: Vec<u8>,
    pub(crate) facts: Facts,
}

impl Certifier<'_> {
    /// The order that every CRL takes: lint, sign, verify, journal. It speaks of all that `issuer`,
    /// whose key this is, has signed.
    pub(crate) fn crl(
        &self,
        issuer: &Issuer,
        listed: &[Entry],
        seconds: u64,
        ledger: &mut Ledger,
    ) -> Result<SignedCrl, CeremonyError> {
        let refused = |error: crl::CrlError| CeremonyError::Refused(error.to_string());
        let (label, this_update) = (&self.key.label, ledger.now());
        let greatest = ledger.writer.memory().numbers.get(label, Scope::All);
        let number = crl::number(Some(greatest.above(None)), this_update);
        let next_update = this_update.plus(seconds);
        let draft = Draft {
            issuer,
            number,
            this_update,
            next_update,
            scope: Scope::All,
            base: None,
            urls: &[],
            freshest: None,
        };
        let mut writer = Writer::begin(&draft, Cursor::new(Vec::new())).map_err(refused)?;
        for entry in listed {
            writer.entry(entry).map_err(refused)?;
        }
        let (out, written) = writer.finish().map_err(refused)?;
        let tbs = out.get_ref().get(written.start as usize..).unwrap_or_default();
        let facts = crl::check(tbs, issuer, Scope::All).map_err(refused)?;
        let scheme = self.key.public.certificate_scheme();
        let signature = self.token.sign(self.key, scheme, tbs)?;
        let envelope = Envelope::new(tbs.len() as u64, scheme, &signature).map_err(refused)?;
        let der = [&envelope.head, tbs, &envelope.tail].concat();
        crl::verify(der.as_slice(), issuer, &mut |_| ()).map_err(refused)?;
        ledger.write(Event::Crl {
            issuer: label.clone(),
            scope: Scope::All,
            number,
            base: None,
            this_update,
            next_update,
            entries: facts.entries,
            sha256: hexadecimal(digest(&SHA256, tbs).as_ref()),
        })?;
        Ok(SignedCrl { der, facts })
    }
}

/// Whom the root has certified, and which of them are revoked, as the journal knows.
#[derive(Default)]
pub(super) struct Certified {
    pub(super) serials: BTreeSet<Serial>,
    revoked: BTreeMap<Serial, Entry>,
}

impl Certified {
    /// Reads the whole journal: once a year that is no matter.
    pub(super) fn by(label: &str, journal: &Path) -> Result<Self, CeremonyError> {
        let mut certified = Self::default();
        for line in entries(journal)? {
            certified.note(label, &line?.0.event)?;
        }
        Ok(certified)
    }

    fn note(&mut self, label: &str, event: &Event) -> Result<(), CeremonyError> {
        match event {
            Event::Certificate { certificate, issuer, .. } if issuer == label => {
                let certificate = Certificate::from_der(certificate)?;
                self.serials.extend(Serial::from_slice(certificate.serial()));
            }
            Event::Revoked { serials, reason, at, invalidity_date } => {
                let reason = reason.and_then(|code| Reason::try_from(code).ok()).unwrap_or(Reason::Unspecified);
                self.list(serials, *at, reason, *invalidity_date);
            }
            Event::Held { serials, at } => self.list(serials, *at, Reason::CertificateHold, None),
            Event::Released { serials, .. } => {
                let on_hold = Mark::Revoked(Reason::CertificateHold);
                self.revoked.retain(|serial, entry| !serials.contains(serial) || entry.mark != on_hold);
            }
            _ => {}
        }
        Ok(())
    }

    /// A revocation for good is never overwritten, and one over a hold counts from the hold on.
    fn list(&mut self, serials: &[Serial], at: UnixTime, reason: Reason, invalidity_date: Option<UnixTime>) {
        for serial in serials.iter().filter(|serial| self.serials.contains(serial)) {
            let new = Entry { serial: *serial, at, mark: Mark::Revoked(reason), invalidity_date };
            let known = self.revoked.entry(*serial).or_insert(new);
            if known.mark == Mark::Revoked(Reason::CertificateHold) {
                *known = Entry { at: known.at.min(at), ..new };
            }
        }
    }

    /// What the CRL lists.
    pub(super) fn listed(&self) -> Vec<Entry> {
        self.revoked.values().copied().collect()
    }
}

/// How long the CRL of the root is valid: BR 4.9.7 has twelve months.
pub(crate) const ROOT_CRL_DAYS: u64 = 365;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_taken_back_and_a_revocation_is_not() {
        let serial = |octet| Serial::from_slice(&[octet; 20]).unwrap();
        let mut certified = Certified { serials: [serial(1), serial(2)].into(), ..Certified::default() };
        let mut note = |event| certified.note("root-1", &event).unwrap();
        let (serials, at) = (vec![serial(1), serial(2), serial(3)], UnixTime(5));
        note(Event::Held { serials: serials.clone(), at });
        note(Event::Released { serials: vec![serial(2)], at });
        let revoke = |reason, at| Event::Revoked {
            serials: vec![serial(1)],
            reason: Some(reason),
            at: UnixTime(at),
            invalidity_date: None,
        };
        note(revoke(5, 9));
        note(revoke(1, 10));
        note(Event::Released { serials, at });
        let listed = certified.listed();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].serial, listed[0].at), (serial(1), at));
        assert_eq!(listed[0].mark, Mark::Revoked(Reason::CessationOfOperation));
    }
}
