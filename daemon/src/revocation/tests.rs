//! CRLs against a signer on a socket, read back as a relying party would.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hsm::wire::{Actor, SealStatus};
use policy::crl::{self, Entry, Facts, Mark, Reason, Scope};
use policy::effects::{Clock as _, UnixTime};
use policy::serial::Serial;
use tempfile::TempDir;

use super::*;
use crate::config;
use crate::issuance::testing::{KEY, NOW, TestClock, TestEntropy, TestSigner};
use crate::store::status::{IMPORTED, Imported, REVOKED, REVOKED_CHANGES};
use crate::store::{self, Change, EngineKind};

const DAY: u64 = 86_400;

struct Scene {
    directory: TempDir,
    signer: Arc<TestSigner>,
    store: Store,
    ca: Ca,
    clock: Arc<TestClock>,
    list: List,
    publisher: Arc<Publisher>,
}

impl Scene {
    fn new() -> Self {
        Self::with(config::Crl {
            after_revocation: Duration::from_secs(60),
            delta_every: Some(Duration::from_secs(3600)),
            every: Duration::from_secs(DAY / 2),
            history: 3,
            lifetime: Duration::from_secs(7 * DAY),
        })
    }

    /// With deltas, but for the list that is published.
    fn without_delta_url() -> Self {
        let mut scene = Self::new();
        scene.list.delta_url = None;
        let office = Arc::clone(&scene.publisher.office);
        let files = Files::new(scene.directory.path().join("crl"));
        let config = scene.publisher.config.clone();
        scene.publisher = Arc::new(Publisher::new(office, config, files, vec![scene.list.clone()]));
        scene
    }

    fn with(config: config::Crl) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let signer = TestSigner::start(directory.path());
        let store = Store::new(store::open(EngineKind::Sqlite, &directory.path().join("store")).unwrap());
        let ca = Ca::new(signer.client(), store.clone());
        let clock = TestClock::new();
        let delta_url = config.delta_every.map(|_| "http://pki.example.test/crl/x/delta.crl".to_owned());
        let list = List { delta_url, ..List::of(Scope::All) };
        let office = Office::new(
            ca.clone(),
            clock.clone(),
            crate::current::Current::new(signer.issuer.clone()),
            KEY.into(),
            store.clone(),
        );
        let files = Files::new(directory.path().join("crl"));
        let publisher = Arc::new(Publisher::new(Arc::new(office), config, files, vec![list.clone()]));
        Self { directory, signer, store, ca, clock, list, publisher }
    }

    /// Certificates of another system that end at `not_after`.
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

    async fn act(&self, serials: &[Serial], deed: Deed) -> usize {
        let actor = Actor { who: "admin:x".into(), request_id: "r".into() };
        act(&self.ca, &self.store, serials, deed, self.clock.now(), &actor).await.unwrap()
    }

    async fn publish(&self, kind: Kind) -> (Facts, BTreeMap<Serial, Entry>) {
        self.publisher.publish(&self.list, kind).await.unwrap();
        self.served(kind).unwrap()
    }

    /// What is served, verified.
    fn served(&self, kind: Kind) -> Option<(Facts, BTreeMap<Serial, Entry>)> {
        let served = self.publisher.served(&list_key(KEY, "all", kind), Coding::Identity).unwrap()?;
        let Contents::Bytes(bytes) = served.contents else { panic!("it is small") };
        let mut entries = BTreeMap::new();
        let facts = crl::verify(&bytes[..], &self.signer.issuer, &mut |entry| {
            entries.insert(entry.serial, *entry);
        });
        Some((facts.unwrap(), entries))
    }
}

const REVOKE: Deed = Deed::Revoke { reason: Some(1), invalidity: Some(NOW) };

#[tokio::test]
async fn the_next_crl_lists_what_was_revoked_and_held_and_no_longer_what_was_released() {
    let scene = Scene::new();
    let serials = scene.import(3, NOW.plus(90 * DAY)).await;
    assert_eq!(scene.act(&serials[..1], REVOKE).await, 1);
    assert_eq!(scene.act(&serials[1..], Deed::Hold).await, 2);
    let (facts, entries) = scene.publish(Kind::Complete).await;
    assert_eq!((facts.entries, facts.this_update, facts.next_update), (3, NOW, NOW.plus(7 * DAY)));
    assert_eq!(entries[&serials[0]].mark, Mark::Revoked(Reason::KeyCompromise));
    assert_eq!(entries[&serials[0]].invalidity_date, Some(NOW));
    assert_eq!(entries[&serials[1]].mark, Mark::Revoked(Reason::CertificateHold));

    scene.clock.advance(10);
    assert_eq!(scene.act(&serials, Deed::Release).await, 2, "what is revoked for good stays so");
    let (next, entries) = scene.publish(Kind::Complete).await;
    assert_eq!(entries.keys().collect::<Vec<_>>(), [&serials[0]]);
    assert!(next.number > facts.number);
    assert_eq!(scene.act(&serials[..1], REVOKE).await, 0, "it is revoked once");
}

#[tokio::test]
async fn a_certificate_on_hold_that_is_revoked_for_good_is_so_since_the_hold() {
    let scene = Scene::new();
    let serials = scene.import(1, NOW.plus(90 * DAY)).await;
    scene.act(&serials, Deed::Hold).await;
    scene.clock.advance(1000);
    assert_eq!(scene.act(&serials, REVOKE).await, 1);
    let (_, entries) = scene.publish(Kind::Complete).await;
    assert_eq!((entries[&serials[0]].at, entries[&serials[0]].mark), (NOW, Mark::Revoked(Reason::KeyCompromise)));
    assert_eq!(scene.act(&serials, Deed::Release).await, 0);
}

#[tokio::test]
async fn an_unknown_serial_is_refused_before_anything_is_done() {
    let scene = Scene::new();
    let mut serials = scene.import(2, NOW.plus(DAY)).await;
    serials.push(Serial::generate(&mut TestEntropy).unwrap());
    let actor = Actor { who: "admin:x".into(), request_id: "r".into() };
    let refused = act(&scene.ca, &scene.store, &serials, REVOKE, NOW, &actor).await;
    assert!(matches!(refused, Err(CaError::Unknown("certificate"))));
    assert_eq!(scene.publish(Kind::Complete).await.0.entries, 0);
}

#[tokio::test]
async fn a_delta_lists_what_changed_since_the_complete_one_before_the_last() {
    let scene = Scene::new();
    let serials = scene.import(4, NOW.plus(90 * DAY)).await;
    scene.act(&serials[..1], Deed::Hold).await;
    let (first, _) = scene.publish(Kind::Complete).await;
    scene.clock.advance(10);
    scene.act(&serials[1..2], REVOKE).await;
    let (second, _) = scene.publish(Kind::Complete).await;
    scene.clock.advance(10);
    scene.act(&serials[2..3], REVOKE).await;
    scene.act(&serials[..1], Deed::Release).await;
    let (delta, entries) = scene.publish(Kind::Delta).await;
    assert_eq!(delta.base, first.number);
    assert!(delta.number > second.number);
    let marks: BTreeMap<_, _> = entries.iter().map(|(serial, entry)| (*serial, entry.mark)).collect();
    let revoked = Mark::Revoked(Reason::KeyCompromise);
    let expected = [(serials[0], Mark::Removed), (serials[1], revoked), (serials[2], revoked)];
    assert_eq!(marks, BTreeMap::from(expected));

    // Two complete ones later nothing of it is needed any more.
    for _ in 0..2 {
        scene.clock.advance(10);
        scene.publish(Kind::Complete).await;
    }
    let (_, entries) = scene.publish(Kind::Delta).await;
    assert!(entries.is_empty(), "{entries:?}");
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    assert_eq!(scene.store.scan(&REVOKED_CHANGES, all, 10, false).unwrap(), []);
}

#[tokio::test]
async fn an_entry_stays_for_one_crl_past_the_end_of_its_certificate() {
    let scene = Scene::new();
    let serials = scene.import(1, NOW.plus(100)).await;
    scene.act(&serials, REVOKE).await;
    assert_eq!(scene.publish(Kind::Complete).await.0.entries, 1);
    scene.clock.advance(101);
    assert_eq!(scene.publish(Kind::Complete).await.0.entries, 1, "the one past its end");
    scene.clock.advance(1);
    assert_eq!(scene.publish(Kind::Complete).await.0.entries, 0);
    let all = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    assert_eq!(scene.store.scan(&REVOKED, all, 10, false).unwrap(), []);
}

#[tokio::test]
async fn so_many_crls_are_kept_as_the_history_wants_and_no_file_more() {
    let scene = Scene::new();
    std::fs::create_dir(scene.directory.path().join("crl")).unwrap();
    let stray = scene.directory.path().join(format!("crl/{KEY}-all-17.crl"));
    std::fs::write(&stray, "left by a crash").unwrap();
    for _ in 0..5 {
        scene.clock.advance(10);
        scene.publish(Kind::Complete).await;
    }
    let names: Vec<_> = std::fs::read_dir(scene.directory.path().join("crl")).unwrap().collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(!stray.exists());
}

#[tokio::test]
async fn a_clock_that_was_set_back_publishes_nothing_older() {
    let scene = Scene::new();
    scene.clock.advance(365 * DAY);
    let (facts, _) = scene.publish(Kind::Complete).await;
    scene.clock.set(NOW);
    let refused = scene.publisher.publish(&scene.list, Kind::Complete).await;
    assert!(matches!(refused, Err(PublishError::Behind(behind)) if behind == 365 * DAY), "{refused:?}");
    assert_eq!(scene.served(Kind::Complete).unwrap().0, facts);
}

#[tokio::test]
async fn a_million_serials_would_not_be_in_memory_and_three_pages_are_listed_in_order() {
    let scene = Scene::new();
    let mut all = Vec::new();
    for _ in 0..10 {
        all.extend(scene.import(1000, NOW.plus(90 * DAY)).await);
    }
    assert_eq!(scene.act(&all, REVOKE).await, 10_000);
    scene.publisher.publish(&scene.list, Kind::Complete).await.unwrap();
    let key = list_key(KEY, "all", Kind::Complete);
    let served = scene.publisher.served(&key, Coding::Gzip).unwrap().unwrap();
    assert_eq!(served.coding, Coding::Gzip);
    let Contents::File(mut packed, _) = served.contents else { panic!("a file") };
    let mut der = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(&mut packed), &mut der).unwrap();
    let mut entries = 0;
    let facts = crl::verify(&der[..], &scene.signer.issuer, &mut |_| entries += 1).unwrap();
    assert_eq!((facts.entries, entries), (10_000, 10_000));
}

#[tokio::test]
async fn while_sealed_the_last_crl_is_served_and_the_outage_is_measured() {
    let scene = Scene::new();
    let (facts, _) = scene.publish(Kind::Complete).await;
    scene.signer.inner().seal = SealStatus::Sealed;
    let running = Arc::clone(&scene.publisher);
    scene.clock.advance(DAY);
    let office = Arc::clone(&scene.publisher.office);
    let task = tokio::spawn(async move { running.run().await });
    wait(|| office.away_since() == Some(NOW.plus(DAY))).await;
    assert!(!office.troubles().is_empty());
    assert_eq!(scene.served(Kind::Complete).unwrap().0, facts);
    scene.clock.advance(500);
    scene.signer.inner().seal = SealStatus::Unsealed;
    scene.publisher.wake();
    wait(|| scene.served(Kind::Complete).unwrap().0.number > facts.number).await;
    wait(|| office.away_since().is_none() && office.troubles().is_empty()).await;
    assert_eq!(office.longest_outage(), 500);
    task.abort();
    // It is known after a restart.
    let again = Office::new(
        scene.ca.clone(),
        scene.clock.clone(),
        crate::current::Current::new(scene.signer.issuer.clone()),
        KEY.into(),
        scene.store.clone(),
    );
    assert_eq!(again.longest_outage(), 500);
}

#[tokio::test]
async fn what_is_revoked_is_in_a_crl_when_the_configuration_says_so() {
    let scene = Scene::with(config::Crl {
        after_revocation: Duration::from_secs(60),
        delta_every: None,
        every: Duration::from_secs(DAY / 2),
        history: 3,
        lifetime: Duration::from_secs(7 * DAY),
    });
    let running = Arc::clone(&scene.publisher);
    let task = tokio::spawn(async move { running.run().await });
    wait(|| scene.served(Kind::Complete).is_some()).await;
    let serials = scene.import(1, NOW.plus(90 * DAY)).await;
    scene.act(&serials, REVOKE).await;
    scene.publisher.wake();
    scene.clock.advance(61);
    scene.publisher.wake();
    wait(|| scene.served(Kind::Complete).unwrap().0.entries == 1).await;
    task.abort();
}

#[tokio::test]
async fn a_list_without_a_delta_has_what_is_new_although_others_have_deltas() {
    let scene = Scene::without_delta_url();
    let running = Arc::clone(&scene.publisher);
    let task = tokio::spawn(async move { running.run().await });
    wait(|| scene.served(Kind::Complete).is_some()).await;
    let serials = scene.import(1, NOW.plus(90 * DAY)).await;
    scene.act(&serials, REVOKE).await;
    scene.publisher.wake();
    scene.clock.advance(61);
    scene.publisher.wake();
    wait(|| scene.served(Kind::Complete).unwrap().0.entries == 1).await;
    assert!(scene.served(Kind::Delta).is_none());
    task.abort();
}

#[tokio::test]
async fn a_delta_follows_a_revocation_and_the_complete_one_waits_for_its_time() {
    let scene = Scene::new();
    let running = Arc::clone(&scene.publisher);
    let task = tokio::spawn(async move { running.run().await });
    wait(|| scene.served(Kind::Delta).is_some()).await;
    let (complete, _) = scene.served(Kind::Complete).unwrap();
    let serials = scene.import(2, NOW.plus(90 * DAY)).await;
    scene.act(&serials[..1], REVOKE).await;
    scene.act(&serials[1..], Deed::Hold).await;
    scene.clock.advance(61);
    scene.publisher.wake();
    wait(|| scene.served(Kind::Delta).unwrap().0.entries == 2).await;
    assert_eq!(scene.served(Kind::Complete).unwrap().0, complete);
    assert_eq!(scene.served(Kind::Delta).unwrap().0.base, complete.number);
    // A new complete one, and a delta that adds to the one before it.
    scene.clock.advance(DAY / 2);
    scene.publisher.wake();
    wait(|| scene.served(Kind::Complete).unwrap().0.entries == 2).await;
    let number = scene.served(Kind::Complete).unwrap().0.number;
    scene.publisher.wake();
    wait(|| scene.served(Kind::Delta).unwrap().0.number > number).await;
    let (delta, entries) = scene.served(Kind::Delta).unwrap();
    assert_eq!((delta.base, entries.len()), (complete.number, 2));
    assert!(scene.publisher.office.troubles().is_empty());
    task.abort();
}

/// Waits for what other tasks bring about.
async fn wait(holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "it does not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
