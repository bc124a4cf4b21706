//! Requests, against a signer on a socket.

use hsm::wire::SealStatus;
use policy::name::Name;
use policy::profile::Profile;
use policy::rights::{Actor, Role};
use policy::tbs::Certificate;
use policy::validity::Requested;

use super::*;
use crate::service::acme::testing::{World, csr_for, fresh_key};
use crate::service::issue::{Completes, KeyKind, Warrant};

/// A world whose profile `asking` needs approval.
async fn world() -> World {
    let text = format!("{}\n[approval]\nrequired = true\n", include_str!("../../../../packaging/profiles/server.toml"));
    let asking = Profile::from_toml("asking.toml", &text).unwrap();
    World::new()
        .await
        .reassemble(|services| {
            services.profiles.replace(crate::current::Profiles::from([("asking".to_owned(), asking.into())]))
        })
        .await
}

fn who(world: &World, digits: &str) -> Permitted {
    let who = Actor::Administrator(Role::Administrator, digits.repeat(32));
    Permitted::other_for_tests(&world.services, who, Scope::Everything)
}

fn wanted(names: &[&str]) -> Wanted {
    Wanted {
        surface: "admin",
        profile: "asking".to_owned(),
        key: WantedKey::csr(&csr_for(&fresh_key(), "", names)).unwrap(),
        names: None,
        common_name: None,
        requested: Requested::default(),
        warrant: Warrant::Administrator { replaces: None },
        completes: Completes::Nothing,
        node: None,
    }
}

async fn asked(world: &World) -> Request {
    match world.services.issue(&who(world, "aa"), wanted(&["a.example.test"])).await {
        Err(IssueFailure::Pending(id)) => world.services.request(&who(world, "aa"), &id).unwrap(),
        Ok(_) => panic!("issued without approval"),
        Err(error) => panic!("{error}"),
    }
}

fn events(world: &World, kind: &str) -> usize {
    let kind = format!("\"type\":\"{kind}\"");
    world.signer.inner().lines.iter().filter(|line| line.contains(&kind)).count()
}

#[tokio::test]
async fn a_profile_with_approval_makes_a_request_that_somebody_else_approves_once() {
    let world = world().await;
    let request = asked(&world).await;
    assert_eq!((request.status(), events(&world, "certificate")), ("pending", 0));
    let own = world.services.approve(&who(&world, "aa"), &request.id, &request.digest).await;
    assert!(own.is_err_and(|error| error.to_string().contains("somebody else")));
    let other = who(&world, "bb");
    let wrong = world.services.approve(&other, &request.id, &"0".repeat(64)).await;
    assert!(matches!(wrong, Err(IssueFailure::Conflict(_))));
    let issued = world.services.approve(&other, &request.id, &request.digest).await.unwrap();
    let names = Certificate::from_der(&issued.certificate).unwrap().names().to_vec();
    assert_eq!(names, [Name::parse("a.example.test").unwrap()]);
    let again = world.services.approve(&who(&world, "cc"), &request.id, &request.digest).await.unwrap();
    assert_eq!(again.serial, issued.serial);
    assert_eq!((events(&world, "request_approved"), world.signer.inner().signed), (1, 1));
    let record = world.services.certificate(&other, issued.serial).unwrap().unwrap().record;
    assert_eq!(record.requester, Some(request.record.requester.clone()));
    assert_eq!((record.actor, record.names[0].method), (other.actor().who, Method::Administrator));
    let request = world.services.request(&other, &request.id).unwrap();
    assert_eq!(request.status(), "issued");
    let rejected = world.services.reject(&other, &request.id, &request.digest, "no").await;
    assert!(matches!(rejected, Err(IssueFailure::Conflict(_))));
}

#[tokio::test]
async fn a_rejected_or_expired_request_is_never_issued() {
    let world = world().await;
    let (first, second) = (asked(&world).await, asked(&world).await);
    let other = who(&world, "bb");
    for _ in 0..2 {
        let rejected = world.services.reject(&other, &first.id, &first.digest, "who is that?").await.unwrap();
        assert_eq!(rejected.status(), "rejected");
    }
    assert_eq!(events(&world, "request_rejected"), 1);
    assert!(matches!(world.services.approve(&other, &first.id, &first.digest).await, Err(IssueFailure::Conflict(_))));
    world.clock.advance(LIFETIME + 1);
    assert!(matches!(world.services.approve(&other, &second.id, &second.digest).await, Err(IssueFailure::Conflict(_))));
    let page = |status, before: Option<&str>| world.services.requests(&other, status, before, 1).unwrap();
    let latest = page(None, None);
    let then = page(None, latest.next.as_deref());
    let mut ids = [latest.requests[0].id.clone(), then.requests[0].id.clone()];
    ids.sort();
    let mut made = [first.id.clone(), second.id.clone()];
    made.sort();
    assert_eq!((ids, then.next), (made, None));
    assert_eq!(page(Some("expired"), None).requests[0].id, second.id);
    assert_eq!(page(Some("rejected"), None).requests[0].id, first.id);
    assert_eq!(world.signer.inner().signed, 0);
}

#[tokio::test]
async fn a_request_stays_pending_while_sealed_and_is_completed_after_a_crash() {
    let world = world().await;
    let request = asked(&world).await;
    let other = who(&world, "bb");
    world.signer.inner().seal = SealStatus::Sealed;
    world.services.ca.status().await.unwrap();
    let sealed = world.services.approve(&other, &request.id, &request.digest).await;
    assert!(matches!(sealed, Err(IssueFailure::Sealed)));
    assert_eq!(world.services.request(&other, &request.id).unwrap().status(), "pending");
    assert_eq!(events(&world, "request_approved"), 0);
    world.signer.inner().seal = SealStatus::Unsealed;
    world.services.ca.status().await.unwrap();
    // The signer journals the certificate, and nobody is there to hear of it.
    let issued = world.services.approve(&other, &request.id, &request.digest).await.unwrap();
    let row = world.store.get(&REQUESTS, &request.id).unwrap().unwrap();
    let (by, at) = (other.actor().who, world.services.clock.now());
    let mut change = Change::new();
    let before = RequestRecord { state: RequestState::Approved { by, at }, ..row.value };
    change.update(&REQUESTS, &request.id, row.version, &before);
    change.delete(&CERTIFICATES, issued.serial.as_bytes());
    let journal = crate::issuance::testing::JOURNAL;
    change.delete(&crate::store::tables::JOURNALS, journal);
    world.store.commit(change).await.unwrap();
    let world = world.restart().await;
    world.services.ca.catch_up().await.unwrap();
    let request = world.services.request(&other, &request.id).unwrap();
    assert!(matches!(request.record.state, RequestState::Issued { certificate, .. } if certificate == issued.serial));
}

#[tokio::test]
async fn who_may_only_ask_sees_his_own_requests_and_a_made_key_cannot_wait() {
    let world = world().await;
    let client =
        |digits: &str| Permitted::other_for_tests(&world.services, Actor::Client(digits.repeat(32)), Scope::Own);
    let (one, two) = (client("11"), client("22"));
    let request = world.services.submit(&one, &wanted(&["a.example.test"])).await.unwrap();
    assert!(world.services.request(&one, &request.id).is_ok());
    assert!(matches!(world.services.request(&two, &request.id), Err(IssueFailure::Missing(_))));
    assert!(world.services.requests(&two, None, None, 10).unwrap().requests.is_empty());
    assert_eq!(world.services.requests(&one, None, None, 10).unwrap().requests, [request]);
    let refused = world.services.submit(&one, &wanted(&["192.0.2.1"])).await;
    assert!(matches!(refused, Err(IssueFailure::Refused(_))));
    let made = Wanted { key: WantedKey::Generate(KeyKind::P256), ..wanted(&["a.example.test"]) };
    assert!(world.services.issue(&who(&world, "aa"), made).await.is_err_and(|error| error.to_string().contains("CSR")));
    for id in ["", "x", &"g".repeat(32), &"0".repeat(32), &"0".repeat(4000)] {
        assert!(matches!(world.services.request(&one, id), Err(IssueFailure::Missing(_))));
    }
}
