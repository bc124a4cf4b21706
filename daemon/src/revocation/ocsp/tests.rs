//! Signing ahead, and what comes in between, against a signer on a socket.

use std::sync::Arc;
use std::time::Duration;

use hsm::wire::Actor;
use policy::effects::Clock as _;
use policy::ocsp::BasicResponse;
use tempfile::TempDir;

use super::*;
use crate::config::Nonce;
use crate::issuance::ca::Ca;
use crate::issuance::testing::{KEY, NOW, TestClock, TestEntropy, TestSigner};
use crate::revocation::{self, Deed};
use crate::store::status::{Imported, OCSP, OCSP_DUE, OcspRow, due_key};
use crate::store::{self, Change, EngineKind, Store, Table};

const DAY: u64 = 86_400;
const REVOKE: Deed = Deed::Revoke { reason: Some(1), invalidity: None };

struct Scene {
    signer: Arc<TestSigner>,
    store: Store,
    clock: Arc<TestClock>,
    responder: Arc<Responder>,
    /// A connection of its own: it acts while the responder waits.
    ca: Ca,
    _directory: TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let signer = TestSigner::start(directory.path());
        let store = Store::new(store::open(EngineKind::Sqlite, &directory.path().join("store")).unwrap());
        let clock = TestClock::new();
        let ca = Ca::new(signer.client(), store.clone());
        let scene =
            Self { responder: responder(&signer, &store, &clock), signer, store, clock, ca, _directory: directory };
        scene.signer.inner().ocsp.slow = Duration::ZERO;
        scene
    }

    /// Certificates for which somebody asked just now: their answers are due.
    async fn due(&self, count: usize) -> Vec<Serial> {
        let serials = self.import(count, NOW.plus(90 * DAY)).await;
        let mut change = Change::new();
        for serial in &serials {
            let key = self.responder.key(*serial);
            let row = OcspRow { due: Some(self.clock.now()), asked: self.clock.now(), ..OcspRow::default() };
            change.put(&OCSP, &key, &row);
            change.put(&OCSP_DUE, due_key(self.clock.now(), &key), &());
        }
        self.store.commit(change).await.unwrap();
        serials
    }

    async fn import(&self, count: usize, not_after: UnixTime) -> Vec<Serial> {
        let mut change = Change::new();
        let serials: Vec<_> = (0..count).map(|_| Serial::generate(&mut TestEntropy).unwrap()).collect();
        for serial in &serials {
            let row = Imported { issuer: KEY.into(), not_after, subject: String::new(), revoked: None };
            change.insert(&IMPORTED, serial.as_bytes(), &row);
        }
        self.store.commit(change).await.unwrap();
        serials
    }

    async fn act(&self, serials: &[Serial], deed: Deed) {
        let actor = Actor { who: "admin:x".into(), request_id: "r".into() };
        revocation::act(&self.ca, &self.store, serials, deed, self.clock.now(), &actor).await.unwrap();
    }

    /// What is asked for, verified.
    async fn ask(&self, serial: Serial) -> Result<Status, String> {
        ask(&self.responder, serial).await
    }

    /// Whether there is an answer that is kept.
    fn is_kept(&self, serial: Serial) -> bool {
        row::read(&self.store, &self.responder.key(serial)).unwrap().kept(HashAlgorithm::Sha1).is_some()
    }

    fn batches(&self) -> Vec<usize> {
        std::mem::take(&mut self.signer.inner().batches)
    }
}

fn responder(signer: &TestSigner, store: &Store, clock: &Arc<TestClock>) -> Arc<Responder> {
    let ca = Ca::new(signer.client(), store.clone());
    let office =
        Office::new(ca, clock.clone(), crate::current::Current::new(signer.issuer.clone()), KEY.into(), store.clone());
    let config = config::Ocsp {
        archive_cutoff: None,
        asked: Duration::from_secs(7 * DAY),
        cache: 0,
        lifetime: Duration::from_secs(4 * DAY),
        load: 50,
        never_issued: NeverIssued::Unknown,
        nonce: Nonce::Answer,
    };
    Responder::new(Arc::new(office), config)
}

async fn ask(responder: &Responder, serial: Serial) -> Result<Status, String> {
    let issuer = &responder.office.issuer.now();
    let id = CertId::new(HashAlgorithm::Sha1, issuer, serial);
    let answer = responder.answer(&request(&id)).await;
    let response = BasicResponse::from_der(&answer.der).map_err(|error| error.to_string())?;
    response.verify(issuer).map_err(|error| error.to_string())?;
    Ok(response.data().responses[0].status)
}

fn is_revoked(status: &Result<Status, String>) -> bool {
    matches!(status, Ok(Status::Revoked { .. }))
}

#[tokio::test]
async fn an_answer_that_the_signer_refuses_holds_up_no_other_and_is_tried_again_ever_more_seldom() {
    let scene = Scene::new();
    let serials = scene.due(20).await;
    let bad = serials[7];
    scene.signer.inner().ocsp.refused.insert(bad);
    for _ in 0..20 {
        scene.responder.round().await;
    }
    for serial in &serials {
        assert_eq!(scene.is_kept(*serial), *serial != bad);
    }
    let report = scene.responder.report();
    let [aside] = &report.aside[..] else { panic!("{:?}", report.aside) };
    assert_eq!((aside.serial.as_str(), aside.tries, aside.again), (bad.to_string().as_str(), 1, NOW.plus(60)));
    assert!(aside.why.contains("breaks a rule"));
    assert_eq!((report.refused, report.lag), (1, 0));
    assert_eq!(scene.responder.office.troubles(), []);

    scene.clock.advance(60);
    scene.responder.round().await;
    assert_eq!(scene.responder.report().aside[0].again, NOW.plus(60 + 120));
    // It is signed as soon as it can be.
    scene.signer.inner().ocsp.refused.clear();
    scene.clock.advance(120);
    scene.responder.round().await;
    assert!(scene.is_kept(bad));
    assert_eq!(scene.responder.report().aside, []);
}

#[tokio::test]
async fn whoever_asks_in_the_same_batch_as_a_bad_answer_gets_his() {
    let scene = Scene::new();
    let serials = scene.import(6, NOW.plus(DAY)).await;
    scene.signer.inner().ocsp.refused.insert(serials[2]);
    let mut asking = tokio::task::JoinSet::new();
    for serial in serials.clone() {
        let responder = Arc::clone(&scene.responder);
        asking.spawn(async move { (serial, ask(&responder, serial).await) });
    }
    while let Some(asked) = asking.join_next().await {
        let (serial, status) = asked.unwrap();
        assert_eq!(status == Ok(Status::Good), serial != serials[2], "{status:?}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_put_aside_and_a_row_of_answers_is_made_anew() {
    const NO_RECORD: Table<u8> = Table::new("imported");
    const NO_ROW: Table<u8> = Table::new("ocsp");
    let scene = Scene::new();
    let serials = scene.due(4).await;
    let mut change = Change::new();
    change.put(&NO_RECORD, serials[0].as_bytes(), &1);
    change.put(&NO_ROW, scene.responder.key(serials[1]), &1);
    scene.store.commit(change).await.unwrap();
    scene.responder.round().await;
    scene.responder.round().await;
    assert!(scene.is_kept(serials[2]) && scene.is_kept(serials[3]));
    let aside: BTreeSet<String> = scene.responder.report().aside.into_iter().map(|aside| aside.serial).collect();
    assert_eq!(aside, BTreeSet::from([serials[0].to_string(), serials[1].to_string()]));
    scene.clock.advance(60);
    scene.responder.round().await;
    assert!(scene.is_kept(serials[1]));
    assert_eq!(scene.responder.report().aside.len(), 1);
}

#[tokio::test]
async fn when_everything_is_refused_nothing_is_asked_for_without_end() {
    let scene = Scene::new();
    let serials = scene.due(40).await;
    scene.signer.inner().ocsp.refused.extend(serials);
    for _ in 0..10 {
        scene.responder.round().await;
    }
    assert_eq!(scene.responder.report().aside.len(), 40);
    assert!(scene.batches().is_empty());
}

#[tokio::test]
async fn without_a_token_nothing_is_put_aside_and_all_of_it_is_signed_afterwards() {
    let scene = Scene::new();
    let serials = scene.due(20).await;
    scene.signer.inner().ocsp.away = true;
    scene.responder.round().await;
    assert!(scene.responder.office.troubles()[0].1.contains("CKR_DEVICE_REMOVED"));
    assert_eq!(scene.responder.report().aside, []);
    scene.signer.inner().ocsp.away = false;
    for _ in 0..10 {
        scene.responder.round().await;
    }
    assert!(serials.iter().all(|serial| scene.is_kept(*serial)));
    assert_eq!(scene.responder.office.troubles(), []);
}

#[tokio::test]
async fn batches_become_as_large_as_the_token_is_fast() {
    let scene = Scene::new();
    scene.due(400).await;
    // Twenty signatures a second, and four sessions: five each in a second, and half of the sessions.
    scene.signer.inner().ocsp.slow = Duration::from_millis(50);
    let _ = scene.responder.round().await;
    let first = scene.batches();
    assert_eq!(first.iter().sum::<usize>(), 16, "little is asked of a token that is not known: {first:?}");
    let _ = scene.responder.round().await;
    let slow = scene.batches();
    assert!(slow.iter().all(|size| *size <= 5), "{slow:?}");
    scene.signer.inner().ocsp.slow = Duration::ZERO;
    for _ in 0..6 {
        let _ = scene.responder.round().await;
    }
    let fast = scene.batches();
    assert!(fast.iter().max().unwrap() > &20, "{fast:?}");
    assert!(scene.responder.report().per_second > 100.0);
}

#[tokio::test]
async fn a_certificate_that_is_revoked_between_signing_and_keeping_is_never_kept_as_good() {
    let scene = Scene::new();
    for ahead in [true, false] {
        let serial = if ahead { scene.due(1).await[0] } else { scene.import(1, NOW.plus(DAY)).await[0] };
        scene.signer.inner().ocsp.held = true;
        let responder = Arc::clone(&scene.responder);
        let signing = tokio::spawn(async move {
            if ahead {
                responder.round().await;
            } else {
                let _ = ask(&responder, serial).await;
            }
        });
        wait(|| scene.signer.inner().holding).await;
        scene.act(&[serial], REVOKE).await;
        scene.signer.inner().ocsp.held = false;
        scene.signer.release();
        signing.await.unwrap();
        assert!(!scene.is_kept(serial), "ahead: {ahead}");
        assert!(is_revoked(&scene.ask(serial).await), "ahead: {ahead}");
    }
}

#[tokio::test]
async fn a_hold_and_its_release_while_answers_are_signed_end_with_what_is_true() {
    let scene = Scene::new();
    let serials = scene.due(2).await;
    scene.signer.inner().ocsp.held = true;
    let responder = Arc::clone(&scene.responder);
    let signing = tokio::spawn(async move { responder.round().await });
    wait(|| scene.signer.inner().holding).await;
    scene.act(&serials, Deed::Hold).await;
    scene.act(&serials[..1], Deed::Release).await;
    scene.signer.inner().ocsp.held = false;
    scene.signer.release();
    signing.await.unwrap();
    assert!(!scene.is_kept(serials[0]) && !scene.is_kept(serials[1]));
    for _ in 0..3 {
        scene.responder.round().await;
    }
    assert!(scene.is_kept(serials[0]) && scene.is_kept(serials[1]));
    assert_eq!(scene.ask(serials[0]).await, Ok(Status::Good));
    let held = Status::Revoked { at: NOW, reason: Some(Reason::CertificateHold) };
    assert_eq!(scene.ask(serials[1]).await, Ok(held));
}

#[tokio::test]
async fn two_who_sign_ahead_at_the_same_time_lose_nothing() {
    let scene = Scene::new();
    let serials = scene.due(60).await;
    let other = responder(&scene.signer, &scene.store, &scene.clock);
    for _ in 0..12 {
        tokio::join!(scene.responder.round(), other.round());
    }
    assert!(serials.iter().all(|serial| scene.is_kept(*serial)));
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let due = scene.store.scan(&OCSP_DUE, all, 100, false).unwrap();
    assert_eq!(due.len(), 60, "each row is due once");
    assert!(due.iter().all(|(key, _)| key[..8] > NOW.0.to_be_bytes()[..]));
    for one in [&scene.responder, &other] {
        assert_eq!((one.report().aside, one.office.troubles()), (Vec::new(), Vec::new()));
    }
}

#[tokio::test]
async fn a_snapshot_leaves_nothing_out_although_the_token_fails_meanwhile() {
    let scene = Scene::new();
    let serials = scene.import(50, NOW.plus(90 * DAY)).await;
    let until = NOW.plus(6 * DAY);
    scene.responder.snapshot(until).await.unwrap();
    let done = || scene.responder.report().snapshot.unwrap().done.is_some();
    for number in 0..100 {
        scene.signer.inner().ocsp.away = number % 3 == 1;
        scene.responder.round().await;
        if done() {
            break;
        }
    }
    assert!(done());
    let good = |serial: &Serial| {
        let row = row::read(&scene.store, &scene.responder.key(*serial)).unwrap();
        row.kept(HashAlgorithm::Sha1).is_some_and(|kept| kept.next_update >= until)
    };
    assert!(serials.iter().all(good));
    assert_eq!(scene.responder.report().snapshot.unwrap().signed, 50);
}

#[tokio::test]
async fn a_revocation_from_before_the_clock_was_set_back_is_answered() {
    let scene = Scene::new();
    let serials = scene.due(1).await;
    scene.clock.advance(3600);
    scene.act(&serials, REVOKE).await;
    scene.clock.set(NOW);
    let answer = scene.ask(serials[0]).await;
    assert_eq!(answer, Ok(Status::Revoked { at: NOW, reason: Some(Reason::KeyCompromise) }));
}

#[tokio::test]
async fn no_answer_is_vouched_for_by_a_certificate_that_is_not_valid_now() {
    let scene = Scene::new();
    let serial = scene.due(1).await[0];
    for now in [NOW.minus(DAY), NOW.plus(301 * DAY)] {
        scene.clock.set(now);
        assert!(scene.ask(serial).await.is_err());
    }
    assert_eq!(scene.responder.report().aside, [], "no answer is to blame");
    scene.clock.set(NOW);
    assert_eq!(scene.ask(serial).await, Ok(Status::Good));
}

#[tokio::test]
async fn a_request_that_speaks_of_another_ca_too_is_not_answered_for_it() {
    let scene = Scene::new();
    let ours = CertId::new(HashAlgorithm::Sha1, &scene.signer.issuer, Serial::from_slice(&[7]).unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    let other = TestSigner::start(elsewhere.path());
    let theirs = CertId::new(HashAlgorithm::Sha1, &other.issuer, Serial::from_slice(&[7]).unwrap());
    let asked = Request { ids: vec![ours, theirs], nonce: None };
    let answer = scene.responder.respond(&asked).await.unwrap();
    assert_eq!(answer.der, refusal(ErrorStatus::Unauthorized).der);
}

/// Waits for what other tasks bring about.
async fn wait(holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "it does not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
