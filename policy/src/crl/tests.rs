use std::io::{BufReader, Cursor, Write as _};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::key::KeyAlgorithm;
use crate::serial::Serial;
use crate::testing::{CountingEntropy, DAY, Hierarchy, NOW, serial};

static CAS: LazyLock<Hierarchy> = LazyLock::new(|| Hierarchy::new(KeyAlgorithm::P256));

fn draft(scope: Scope, urls: &[String]) -> Draft<'_> {
    let (this_update, next_update) = (NOW, NOW.plus(7 * DAY));
    Draft { issuer: &CAS.issuing, number: 7, this_update, next_update, scope, base: None, urls, freshest: None }
}

/// The TBSCertList of a draft.
fn write(draft: &Draft<'_>, entries: &[Entry]) -> Vec<u8> {
    let mut writer = Writer::begin(draft, Cursor::new(Vec::new())).unwrap();
    entries.iter().for_each(|entry| writer.entry(entry).unwrap());
    let (out, written) = writer.finish().unwrap();
    let bytes = out.into_inner();
    assert_eq!(bytes.len() as u64, written.start + written.length);
    assert_eq!(written.entries, entries.len() as u64);
    bytes[written.start as usize..].to_vec()
}

fn sign(cas: &Hierarchy, tbs: &[u8]) -> Vec<u8> {
    let scheme = cas.issuing.key().certificate_scheme();
    let envelope = Envelope::new(tbs.len() as u64, scheme, &cas.issuing_key.sign(scheme, tbs)).unwrap();
    [&envelope.head, tbs, &envelope.tail].concat()
}

fn entries(count: u8) -> Vec<Entry> {
    let mut entries: Vec<Entry> = (0..count)
        .map(|seed| Entry {
            serial: Serial::generate(&mut CountingEntropy(seed)).unwrap(),
            at: NOW.minus(u64::from(seed) * 1000),
            mark: Mark::Revoked(Reason::ALL[usize::from(seed) % Reason::ALL.len()]),
            invalidity_date: seed.is_multiple_of(3).then(|| NOW.minus(DAY)),
        })
        .collect();
    entries.sort_by_key(|entry| entry.serial);
    entries.dedup_by_key(|entry| entry.serial);
    entries
}

fn read_back(crl: &[u8], issuer: &Issuer) -> Result<(Facts, Vec<Entry>), CrlError> {
    let mut seen = Vec::new();
    let facts = verify(BufReader::new(crl), issuer, &mut |entry| seen.push(*entry))?;
    Ok((facts, seen))
}

#[test]
fn a_crl_of_every_kind_of_key_is_read_back_as_it_was_written() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa] {
        let cas = Hierarchy::new(algorithm);
        let listed = entries(40);
        let tbs = write(&Draft { issuer: &cas.issuing, ..draft(Scope::All, &[]) }, &listed);
        let facts = check(tbs.as_slice(), &cas.issuing, Scope::All).unwrap();
        let mut crl = sign(&cas, &tbs);
        assert_eq!(read_back(&crl, &cas.issuing).unwrap(), (facts.clone(), listed), "{algorithm:?}");
        assert_eq!((facts.number, facts.base, facts.this_update), (Some(7), None, NOW));
        assert_eq!(facts.next_update, NOW.plus(7 * DAY));
        assert!(matches!(read_back(&crl, &CAS.issuing), Err(CrlError::Der(_) | CrlError::Signature(_))));
        *crl.last_mut().unwrap() ^= 1;
        assert!(matches!(read_back(&crl, &cas.issuing), Err(CrlError::Signature(_))), "{algorithm:?}");
        crl.push(0);
        assert!(matches!(read_back(&crl, &cas.issuing), Err(CrlError::Der(_))), "{algorithm:?}");
    }
}

#[test]
fn an_empty_crl_a_delta_and_a_shard_pass_the_lints() {
    assert_eq!(check(write(&draft(Scope::All, &[]), &[]).as_slice(), &CAS.issuing, Scope::All).unwrap().entries, 0);

    let removed = Entry { mark: Mark::Removed, ..entries(1)[0] };
    let delta = write(&Draft { base: Some(3), ..draft(Scope::All, &[]) }, &[removed]);
    assert_eq!(check(delta.as_slice(), &CAS.issuing, Scope::All).unwrap().base, Some(3));
    let complete = write(&draft(Scope::All, &[]), &[removed]);
    let refused = check(complete.as_slice(), &CAS.issuing, Scope::All).unwrap_err();
    assert!(refused.to_string().contains("removals"), "{refused}");

    let count = NonZeroU16::new(4).unwrap();
    let urls = ["http://a.test/1".to_owned(), "http://b.test/1".to_owned()];
    for shard in Shard::all(count) {
        let scope = Scope::Shard(shard);
        let mine: Vec<Entry> = entries(60).into_iter().filter(|entry| scope.holds(entry.serial)).collect();
        assert!(!mine.is_empty());
        let tbs = write(&draft(scope, &urls), &mine);
        assert_eq!(check(tbs.as_slice(), &CAS.issuing, scope).unwrap().urls, urls);
        assert!(check(tbs.as_slice(), &CAS.issuing, Scope::All).is_err(), "a shard is not everything");
        let other = Shard::all(count).find(|other| *other != shard).unwrap();
        let refused = check(tbs.as_slice(), &CAS.issuing, Scope::Shard(other)).unwrap_err();
        assert!(refused.to_string().contains("is not in"), "{refused}");
    }
}

#[test]
fn the_writer_refuses_what_contradicts_itself() {
    let begin = |draft: &Draft<'_>| Writer::begin(draft, Cursor::new(Vec::new())).is_ok();
    let shard = Scope::Shard(Shard::of(serial(1), NonZeroU16::new(2).unwrap()));
    let url = ["http://a.test/1".to_owned()];
    assert!(begin(&draft(Scope::All, &[])) && begin(&draft(shard, &url)));
    assert!(!begin(&draft(Scope::All, &url)) && !begin(&draft(shard, &[])));
    assert!(!begin(&Draft { base: Some(1), freshest: Some("http://a.test/d"), ..draft(Scope::All, &[]) }));
    let mut writer = Writer::begin(&draft(Scope::All, &[]), Cursor::new(Vec::new())).unwrap();
    let listed = entries(3);
    writer.entry(&listed[1]).unwrap();
    assert!(writer.entry(&listed[1]).is_err() && writer.entry(&listed[0]).is_err());
    assert!(writer.entry(&listed[2]).is_ok());
}

#[test]
fn numbers_ascend_and_are_never_behind_the_time() {
    assert_eq!(number(None, NOW), NOW.0);
    assert_eq!(number(Some(5), NOW), NOW.0);
    assert_eq!(number(Some(NOW.0), NOW), NOW.0 + 1);
    // A clock that stepped back, or many CRLs in one second.
    assert_eq!(number(Some(NOW.0 + 99), NOW), NOW.0 + 100);
    assert_eq!(number(Some(u64::MAX), NOW), u64::MAX);
}

#[test]
fn an_entry_leaves_after_one_crl_past_its_certificates_end() {
    let end = NOW;
    assert!(stays_listed(end, None));
    assert!(stays_listed(end, Some(end.minus(1))));
    assert!(stays_listed(end, Some(end)), "it was still valid when that CRL was made");
    assert!(!stays_listed(end, Some(end.plus(1))));
}

#[test]
fn openssl_reads_what_was_written() {
    let listed = entries(60);
    let crl = sign(&CAS, &write(&Draft { freshest: Some("http://a.test/d"), ..draft(Scope::All, &[]) }, &listed));
    let mut child = Command::new("openssl")
        .args(["crl", "-inform", "DER", "-noout", "-text"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("openssl runs");
    child.stdin.take().unwrap().write_all(&crl).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Version 2") && text.contains("Next Update: Nov 30 00:00:00 2026 GMT"), "{text}");
    assert!(text.contains("X509v3 CRL Number: \n                7\n"), "{text}");
    assert!(text.contains("Freshest CRL") && text.contains("URI:http://a.test/d"), "{text}");
    for entry in &listed {
        assert!(text.contains(&format!("Serial Number: {}", entry.serial.to_string().to_uppercase())));
    }
    assert_eq!(text.matches("Serial Number: ").count(), listed.len());
    for words in ["Key Compromise", "Certificate Hold", "AA Compromise", "Invalidity Date"] {
        assert!(text.contains(words), "{words}");
    }
    assert!(!text.contains("Unspecified"));
}

proptest! {
    #[test]
    fn times_and_marks_survive(seed: u8, at in 0u64..4_000_000_000, code in 0usize..9, invalid in prop::option::of(0u64..9_000_000_000)) {
        let entry = Entry {
            serial: serial(seed),
            at: UnixTime(at),
            mark: Mark::Revoked(Reason::ALL[code]),
            invalidity_date: invalid.map(UnixTime),
        };
        let crl = sign(&CAS, &write(&draft(Scope::All, &[]), &[entry]));
        prop_assert_eq!(read_back(&crl, &CAS.issuing).unwrap().1, vec![entry]);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(check(bytes.as_slice(), &CAS.issuing, Scope::All).is_err());
        prop_assert!(read_back(&bytes, &CAS.issuing).is_err());
    }

    #[test]
    fn changed_bytes_never_panic_and_never_verify(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1u8..=255), 1..4), cut: prop::sample::Index,
    ) {
        static CRL: LazyLock<Vec<u8>> = LazyLock::new(|| sign(&CAS, &write(&draft(Scope::All, &[]), &entries(9))));
        let mut crl = CRL.clone();
        for (at, flip) in changes {
            let at = at.index(crl.len());
            crl[at] ^= flip;
        }
        if crl != *CRL {
            prop_assert!(read_back(&crl, &CAS.issuing).is_err());
        }
        prop_assert!(read_back(&crl[..cut.index(crl.len())], &CAS.issuing).is_err());
        let _ = check(&crl[4..], &CAS.issuing, Scope::All);
    }
}
