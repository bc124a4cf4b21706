//! The pipeline and catching up, against a signer on a socket.

use std::sync::Arc;

use hsm::journal::{Event, FORMAT, JournalId};
use hsm::wire::{Actor, SealStatus};
use policy::effects::Clock as _;
use policy::evidence::AuthorizationRecord;
use policy::rights::Role;
use policy::validity::Requested;
use tempfile::TempDir;

use super::ca::{Ca, CaError, Done};
use super::testing::{JOURNAL, KEY, TestClock, TestSigner};
use super::{IssueError, Submission, accept_journal};
use crate::revocation;
use crate::service::acme::testing::World;
use crate::store::tables::{ACTIVATIONS, ADMINISTRATORS, CERTIFICATES, JOURNALS, JournalPosition};
use crate::store::{self, Change, EngineKind, Store};

struct Scene {
    directory: TempDir,
    signer: Arc<TestSigner>,
    store: Store,
    ca: Ca,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let signer = TestSigner::start(directory.path());
        let store = Store::new(store::open(EngineKind::Sqlite, &directory.path().join("store")).unwrap());
        let ca = Ca::new(signer.client(), store.clone());
        Self { directory, signer, store, ca }
    }

    fn position(&self) -> Option<u64> {
        self.store.get(&JOURNALS, JOURNAL).unwrap().map(|row| row.value.seq)
    }

    fn fault(result: Result<super::ca::Ready, CaError>) -> String {
        match result {
            Err(CaError::Faulted(why)) => why,
            other => panic!("not faulted: {other:?}"),
        }
    }
}

fn enrolled(name: &str) -> Event {
    Event::AdministratorEnrolled {
        name: name.into(),
        fingerprint: format!("{name}-fingerprint"),
        role: Role::Administrator,
    }
}

fn actor() -> Actor {
    Actor { who: "admin:x".into(), request_id: "r".into() }
}

#[tokio::test]
async fn catching_up_takes_over_every_page_once_even_while_sealed() {
    let scene = Scene::new();
    scene.signer.inner().seal = SealStatus::Sealed;
    for number in 0..35 {
        scene.signer.journal("console", enrolled(&number.to_string()));
    }
    scene.ca.catch_up().await.unwrap();
    assert_eq!(scene.position(), Some(36));
    assert_eq!(scene.ca.seal(), Ok(SealStatus::Sealed));
    let record = scene.store.get(&ADMINISTRATORS, "34-fingerprint").unwrap().unwrap().value;
    assert_eq!((record.name.as_str(), record.removed), ("34", None));
    scene.signer.journal("console", Event::AdministratorRemoved { fingerprint: "34-fingerprint".into() });
    scene.signer.restart();
    let _ = scene.ca.catch_up().await;
    while scene.position() != Some(37) {
        let _ = scene.ca.catch_up().await;
    }
    assert!(scene.store.get(&ADMINISTRATORS, "34-fingerprint").unwrap().unwrap().value.removed.is_some());
}

#[tokio::test]
async fn a_signer_with_too_much_to_do_is_still_the_signer_that_it_was() {
    let scene = Scene::new();
    scene.ca.catch_up().await.unwrap();
    scene.signer.inner().busy = true;
    assert!(scene.ca.catch_up().await.is_err());
    assert_eq!(scene.ca.seal(), Ok(SealStatus::Unsealed));
}

#[tokio::test]
async fn a_store_ahead_of_the_journal_is_faulted() {
    let scene = Scene::new();
    let mut change = Change::new();
    change.put(&JOURNALS, JOURNAL, &JournalPosition { seq: 9, hash: "0".repeat(64) });
    scene.store.commit(change).await.unwrap();
    let why = Scene::fault(scene.ca.catch_up().await);
    assert!(why.contains("ahead of the journal"), "{why}");
    assert_eq!(scene.ca.seal(), Ok(SealStatus::Faulted { why }));
}

#[tokio::test]
async fn a_new_journal_in_the_place_of_a_lost_one_is_followed_only_when_it_was_accepted() {
    let scene = Scene::new();
    let lost = "f".repeat(32);
    let mut change = Change::new();
    change.put(&JOURNALS, &lost, &JournalPosition { seq: 7, hash: "0".repeat(64) });
    scene.store.commit(change).await.unwrap();
    let why = Scene::fault(scene.ca.catch_up().await);
    assert!(why.contains(&lost) && why.contains(&format!("signetd accept-journal {JOURNAL}")), "{why}");
    assert_eq!(scene.position(), None);
    // That the signer is well, which boot asks every other second, hides nothing of it.
    assert_eq!(scene.ca.status().await.unwrap().seal, SealStatus::Unsealed);
    assert_eq!(scene.ca.seal(), Ok(SealStatus::Faulted { why }));

    let accept = async |id: &'static str| {
        let store = scene.store.clone();
        tokio::task::spawn_blocking(move || accept_journal(&store, id))
            .await
            .unwrap()
            .map_err(|error| error.to_string())
    };
    for wrong in ["", "x", "000102030405060708090A0b0c0d0e0f"] {
        assert!(accept(wrong).await.unwrap_err().contains("is not the id of a journal"));
    }
    accept(JOURNAL).await.unwrap();
    scene.ca.catch_up().await.unwrap();
    assert_eq!((scene.position(), scene.ca.seal()), (Some(1), Ok(SealStatus::Unsealed)));
    assert!(accept(JOURNAL).await.unwrap_err().contains("knows"));
    assert_eq!(scene.position(), Some(1));
}

#[tokio::test]
async fn a_catch_up_that_began_before_a_record_step_failed_begins_again() {
    let scene = Scene::new();
    let catch_up = scene.ca.catch_up();
    let mut catch_up = std::pin::pin!(catch_up);
    let waits = std::future::poll_fn(|context| std::task::Poll::Ready(catch_up.as_mut().poll(context).is_pending()));
    assert!(waits.await);
    scene.ca.distrust();
    catch_up.await.unwrap();
    assert_eq!(scene.signer.inner().looks, 2);
}

#[tokio::test]
async fn a_store_from_another_journal_is_faulted() {
    let scene = Scene::new();
    scene.ca.catch_up().await.unwrap();
    let other = Ca::new(scene.signer.client(), scene.store.clone());
    let mut change = Change::new();
    change.put(&JOURNALS, JOURNAL, &JournalPosition { seq: 1, hash: "f".repeat(64) });
    scene.store.commit(change).await.unwrap();
    let why = Scene::fault(other.catch_up().await);
    assert!(why.contains("not the one that the store took over"), "{why}");
}

#[tokio::test]
async fn a_broken_chain_a_gap_and_an_unknown_entry_are_faulted_and_change_nothing() {
    for (what, expected) in [
        ("changed", "breaks the hash chain"),
        ("gap", "carries another number"),
        ("unknown", "cannot be read by this version"),
        ("newer", "newer than"),
        ("garbage", "too short"),
    ] {
        let scene = Scene::new();
        scene.signer.journal("console", enrolled("a"));
        match what {
            "changed" => {
                let mut inner = scene.signer.inner();
                let line = inner.lines[1].replace("a-fingerprint", "b-fingerprint");
                inner.lines[1] = line;
            }
            "gap" => {
                let json = scene.signer.inner().lines[1][65..].replace("\"seq\":2", "\"seq\":4");
                scene.signer.inner().write(&json);
            }
            "unknown" => {
                let json = r#"{"seq":3,"at":1,"actor":"x","request_id":"","event":{"type":"teleported"}}"#;
                scene.signer.inner().write(json);
            }
            "newer" => {
                scene.signer.journal("x", Event::Opened { journal: JournalId(JOURNAL.into()), format: FORMAT + 1 });
            }
            _ => scene.signer.inner().lines.push("x".into()),
        }
        let why = Scene::fault(scene.ca.catch_up().await);
        assert!(why.contains(expected), "{what}: {why}");
        assert_eq!(scene.position(), None, "{what}");
    }
}

#[tokio::test]
async fn different_certificates_with_one_serial_are_faulted() {
    let world = World::new().await;
    let scene = Scene::new();
    let issuer = world.signer.issuer.certificate().to_vec();
    let event = |certificate| Event::Certificate {
        certificate,
        profile: "server".into(),
        profile_sha256: String::new(),
        issuer: "x".into(),
        record: policy::evidence::AuthorizationRecord {
            actor: "console".into(),
            request_id: String::new(),
            order: None,
            subject: None,
            replaces: None,
            node: None,
            requester: None,
            names: Vec::new(),
        },
    };
    scene.signer.journal("x", event(issuer.clone()));
    scene.ca.catch_up().await.unwrap();
    let mut changed = issuer;
    *changed.last_mut().unwrap() ^= 1;
    scene.signer.journal("x", event(changed));
    let why = Scene::fault(scene.ca.catch_up().await);
    assert!(why.contains("different certificates with serial"), "{why}");
}

#[tokio::test]
async fn a_revocation_is_journalled_once_and_recorded_even_while_sealed_and_at_the_same_time() {
    let scene = Scene::new();
    let issuer = scene.signer.issuer.certificate().to_vec();
    let serial = policy::tbs::Certificate::from_der(&issuer).unwrap();
    let serial = policy::serial::Serial::from_slice(serial.serial()).unwrap();
    let now = TestClock::new().now();
    let revoke = || revocation::revoke(&scene.ca, &scene.store, serial, Some(1), now, actor());
    assert!(matches!(revoke().await, Err(CaError::Unknown("certificate"))));
    scene.signer.journal(
        "x",
        Event::Certificate {
            certificate: issuer,
            profile: "root".into(),
            profile_sha256: String::new(),
            issuer: "x".into(),
            record: policy::evidence::AuthorizationRecord {
                actor: "console".into(),
                request_id: String::new(),
                order: None,
                subject: None,
                replaces: None,
                node: None,
                requester: None,
                names: Vec::new(),
            },
        },
    );
    scene.signer.inner().seal = SealStatus::Sealed;
    let before = scene.signer.inner().lines.len();
    let (first, second) = tokio::join!(revoke(), revoke());
    let mut done = [first.unwrap(), second.unwrap()];
    done.sort_by_key(|done| *done == Done::Now);
    assert_eq!(done, [Done::Before, Done::Now]);
    assert_eq!(scene.signer.inner().lines.len(), before + 1);
    let record = scene.store.get(&CERTIFICATES, serial.as_bytes()).unwrap().unwrap().value;
    let revocation = record.revoked.unwrap();
    assert_eq!((revocation.at, revocation.reason, revocation.actor.as_str()), (now, Some(1), "admin:x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_administrators_who_remove_each_other_at_once_one_stays() {
    use crate::service::RequestId;
    use crate::service::administrators::{AdministratorError, Peer, PeerCertificate, Permission};
    let world = World::new().await;
    let services = &world.services;
    for name in ["a", "b"] {
        world.signer.journal("console", enrolled(name));
    }
    services.ca.catch_up().await.unwrap();
    let permitted = |name: &str| {
        let now = services.clock.now();
        let validity = policy::validity::Validity::new(now, now.plus(1)).unwrap();
        let certificate = PeerCertificate { fingerprint: format!("{name}-fingerprint"), serial: None, validity };
        let peer = Peer { from: "test".into(), certificate: Some(certificate) };
        let request = RequestId::generate(&services.random).unwrap();
        services.permit(&peer, &request, Permission::ManageAdministrators).unwrap()
    };
    let (a, b) = (permitted("a"), permitted("b"));
    let (first, second) = tokio::join!(
        services.remove_administrator(&a, "b-fingerprint"),
        services.remove_administrator(&b, "a-fingerprint"),
    );
    assert!(
        matches!((&first, &second), (Ok(()), Err(AdministratorError::Last)) | (Err(AdministratorError::Last), Ok(()))),
        "{first:?} {second:?}"
    );
}

#[tokio::test]
async fn what_was_caught_up_is_not_read_again() {
    let scene = Scene::new();
    for number in 0..200 {
        scene.signer.journal("console", enrolled(&number.to_string()));
    }
    scene.ca.catch_up().await.unwrap();
    // Everything but the last entry could be gone: a fresh daemon asks for that one alone.
    for line in scene.signer.inner().lines.iter_mut().take(200) {
        line.clear();
    }
    Ca::new(scene.signer.client(), scene.store.clone()).catch_up().await.unwrap();
    assert!(scene.directory.path().exists());
}

#[tokio::test]
async fn until_the_ca_is_active_nothing_is_issued_and_the_journal_makes_it_so() {
    let world = World::new().await;
    let mut change = Change::new();
    change.delete(&ACTIVATIONS, KEY);
    world.store.commit(change).await.unwrap();
    world.services.ca.catch_up().await.unwrap();
    let pipeline = world.services.pipeline();
    let said = pipeline.obstacle().expect("an obstacle").to_string();
    assert!(said.contains("signetctl ca activate"), "{said}");
    let submission = Submission {
        profile: "server".into(),
        key: world.signer.issuer.key().clone(),
        names: Vec::new(),
        common_name: None,
        requested: Requested::default(),
        record: AuthorizationRecord { actor: "acme:x".into(), request_id: "r".into(), ..Default::default() },
    };
    assert!(matches!(pipeline.issue(submission).await, Err(IssueError::Unavailable(why)) if why == said));
    assert_eq!(world.signer.inner().signed, 0);
    assert!(world.services.health().reasons.contains(&said));

    let failures = vec!["OCSP at http://a.example.test/ocsp: 404".to_owned()];
    let event = Event::CaActivated { issuer: KEY.into(), forced: true, failures: failures.clone() };
    world.signer.journal("admin:x", event);
    world.services.ca.catch_up().await.unwrap();
    assert!(pipeline.obstacle().is_none());
    let activation = world.store.get(&ACTIVATIONS, KEY).unwrap().unwrap().value;
    assert_eq!((activation.actor.as_str(), activation.failures), ("admin:x", failures));
    // Another issuing key is another CA.
    assert!(!world.services.ca.is_active("issuing-2").unwrap());
}
