//! Searches over a store with some hundreds of certificates, with indexes and without.

use std::collections::BTreeSet;

use policy::evidence::{AuthorizationRecord, Method, NameEvidence};
use policy::key::KeyAlgorithm;
use policy::serial::Serial;
use policy::tbs::Role;
use proptest::prelude::*;

use super::*;
use crate::service::Services;
use crate::store::Change;
use crate::store::tables::{Revocation, index_certificate};
use crate::testing::{Authority, DAY, KeyPair, NOW, services};

struct Scene {
    services: std::sync::Arc<Services>,
    _directory: tempfile::TempDir,
}

/// One kind of certificate; `number` makes it another one.
struct Model {
    names: &'static [&'static str],
    profile: &'static str,
    actor: &'static str,
    /// Days since it was signed; they last 30.
    age: u64,
    revoked: Option<Option<u8>>,
}

const MODELS: [Model; 5] = [
    Model { names: &["a.example.test", "b.example.test"], profile: "server", actor: "acme:1", age: 1, revoked: None },
    Model { names: &["*.example.test", "10.0.0.1"], profile: "server", actor: "acme:2", age: 10, revoked: None },
    Model { names: &["web.other.test"], profile: "shortlived", actor: "acme:1", age: 40, revoked: None },
    Model { names: &["anexample.test"], profile: "server", actor: "admin:00", age: 20, revoked: Some(Some(6)) },
    Model { names: &["c.b.example.test"], profile: "client", actor: "node:c", age: 2, revoked: Some(None) },
];

impl Scene {
    /// So many certificates of each model.
    async fn new(each: u8) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let services = services(directory.path(), &authority, directory.path().join("none"));
        let mut change = Change::new();
        for (kind, model) in MODELS.iter().enumerate() {
            let key = KeyPair::generate(KeyAlgorithm::P256).public();
            let at = NOW.minus(model.age * DAY);
            let certificate = authority.certificate(Role::Administrator, &key, at).der().to_vec();
            let proof = |name: &&str| NameEvidence {
                name: Name::parse(name).unwrap(),
                method: Method::Http01,
                at,
                validator: "http-01/1".to_owned(),
                seen: None,
                caa: None,
            };
            let record = AuthorizationRecord {
                actor: model.actor.to_owned(),
                names: model.names.iter().map(proof).collect(),
                ..AuthorizationRecord::default()
            };
            for number in 0..each {
                let record = CertificateRecord {
                    serial: serial(kind, number),
                    certificate: certificate.clone(),
                    profile: model.profile.to_owned(),
                    profile_sha256: String::new(),
                    issuer: "issuing-1".to_owned(),
                    record: record.clone(),
                    journal: "j".to_owned(),
                    seq: 1,
                    at,
                    revoked: model.revoked.map(|reason| Revocation {
                        at: NOW,
                        reason,
                        invalidity: None,
                        actor: "admin:00".to_owned(),
                    }),
                };
                change.insert(&CERTIFICATES, record.serial.as_bytes(), &record);
                index_certificate(&mut change, &record);
            }
        }
        services.store.commit(change).await.unwrap();
        Self { services, _directory: directory }
    }

    /// The kinds that are found in all pages together, and how many certificates of each.
    fn kinds(&self, search: &Search, limit: usize) -> Vec<(usize, usize)> {
        let permitted = Permitted::for_tests(&self.services);
        let mut found: Vec<Serial> = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let page = self.services.search(&permitted, search, cursor.as_ref(), limit).unwrap();
            assert!(page.certificates.len() <= limit);
            found.extend(page.certificates.iter().map(|certificate| certificate.serial));
            // As a client sends it.
            cursor = page.next.map(|cursor| cursor.to_string().parse().unwrap());
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len(), "one is found twice");
        let count = |kind| found.iter().filter(|serial| serial.as_bytes()[1] == kind as u8).count();
        (0..MODELS.len()).map(|kind| (kind, count(kind))).filter(|(_, count)| *count > 0).collect()
    }
}

fn serial(kind: usize, number: u8) -> Serial {
    let mut octets = [0x11; 20];
    (octets[1], octets[2]) = (kind as u8, number);
    Serial::from_slice(&octets).unwrap()
}

fn name(text: &str) -> Search {
    Search { name: Some(NamePattern::parse(text).unwrap()), ..Search::default() }
}

#[tokio::test]
async fn every_question_finds_the_same_with_an_index_and_without() {
    let scene = Scene::new(5).await;
    let spki = scene.services.certificate(&Permitted::for_tests(&scene.services), serial(1, 0)).unwrap().unwrap();
    let spki = tbs::Certificate::from_der(&spki.der).unwrap().key().unwrap().spki_sha256();
    let days = |from: Option<u64>, until: Option<u64>| Period {
        from: from.map(|days| NOW.minus(days * DAY)),
        until: until.map(|days| NOW.minus(days * DAY)),
    };
    let of = |profile: &str| Search { profile: Some(profile.to_owned()), ..Search::default() };
    let by = |actor: &str| Search { grounds: vec![Ground::Actor(actor.to_owned())], ..Search::default() };
    let with = |status| Search { status: Some(status), ..Search::default() };
    let questions: Vec<(Search, &[usize])> = vec![
        (Search::default(), &[0, 1, 2, 3, 4]),
        (name("a.example.test"), &[0]),
        (name("10.0.0.1"), &[1]),
        (name("*.example.test"), &[0, 1, 4]),
        (name("*.b.example.test"), &[4]),
        (name("*.test"), &[0, 1, 2, 3, 4]),
        (name("*example*"), &[0, 1, 3, 4]),
        (name("*none*"), &[]),
        (by("acme:1"), &[0, 2]),
        (
            Search {
                grounds: vec![Ground::Method(Method::Http01), Ground::Actor("node:c".to_owned())],
                ..Search::default()
            },
            &[4],
        ),
        (of("server"), &[0, 1, 3]),
        (of("serve"), &[]),
        (Search { issued: days(Some(10), Some(2)), ..of("server") }, &[1]),
        (Search { issued: days(Some(20), None), ..Search::default() }, &[0, 1, 3, 4]),
        (Search { issued: days(None, Some(20)), ..Search::default() }, &[2]),
        (Search { issued: days(Some(1), Some(20)), ..Search::default() }, &[]),
        (Search { expires: Period { from: Some(NOW), until: Some(NOW.plus(15 * DAY)) }, ..Search::default() }, &[3]),
        (Search { expires: Period { from: None, until: Some(NOW) }, ..Search::default() }, &[2]),
        (Search { serial: Some(SerialPrefix::parse("1103").unwrap()), ..Search::default() }, &[3]),
        (Search { serial: Some(SerialPrefix::parse("1").unwrap()), ..Search::default() }, &[0, 1, 2, 3, 4]),
        (Search { serial: Some(SerialPrefix::parse("2").unwrap()), ..Search::default() }, &[]),
        (Search { spki: Some(spki), ..Search::default() }, &[1]),
        (Search { spki: Some([0xff; 32]), ..Search::default() }, &[]),
        (with(Status::Valid), &[0, 1]),
        (with(Status::Expired), &[2]),
        (with(Status::Held), &[3]),
        (with(Status::Revoked), &[4]),
        (Search { status: Some(Status::Valid), ..name("*.example.test") }, &[0, 1]),
    ];
    for indexed in [false, true] {
        if indexed {
            scene.services.store.index_certificates().await.unwrap();
        }
        for (search, kinds) in &questions {
            let expected: Vec<(usize, usize)> = kinds.iter().map(|kind| (*kind, 5)).collect();
            for limit in [1, 2, 500] {
                assert_eq!(scene.kinds(search, limit), expected, "{search:?} {limit} {indexed}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_does_a_bounded_amount_of_work_and_goes_on_where_it_stopped() {
    let scene = Scene::new(250).await;
    scene.services.store.index_certificates().await.unwrap();
    let permitted = Permitted::for_tests(&scene.services);
    // The last kind stands behind more certificates than one page looks at.
    let search = Search { status: Some(Status::Revoked), ..Search::default() };
    let first = scene.services.search(&permitted, &search, None, 500).unwrap();
    assert!(first.certificates.is_empty());
    let second = scene.services.search(&permitted, &search, first.next.as_ref(), 500).unwrap();
    assert_eq!((second.certificates.len(), second.next), (250, None));
}

#[tokio::test]
async fn a_cursor_of_another_question_is_refused() {
    let scene = Scene::new(2).await;
    scene.services.store.index_certificates().await.unwrap();
    let permitted = Permitted::for_tests(&scene.services);
    let page = scene.services.search(&permitted, &name("*.example.test"), None, 1).unwrap();
    for other in [Search::default(), name("*.other.test"), name("a.example.test")] {
        let asked = scene.services.search(&permitted, &other, page.next.as_ref(), 1);
        assert!(matches!(asked, Err(SearchError::Cursor)), "{other:?}");
    }
    for text in ["", "!", "AQ", &"A".repeat(3000)] {
        assert!(text.parse::<Cursor>().is_err());
    }
}

proptest! {
    #[test]
    fn no_cursor_panics_and_what_is_read_is_written_alike(text in "[A-Za-z0-9_-]{0,80}") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string(), text);
        }
    }

    #[test]
    fn no_pattern_panics(text in "\\PC{0,40}") {
        let _ = NamePattern::parse(&text);
        let _ = SerialPrefix::parse(&text).map(|prefix| prefix.bounds());
    }
}
