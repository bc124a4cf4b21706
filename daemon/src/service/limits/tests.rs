//! What an administrator sees and does, and what is left in the store.

use std::net::IpAddr;
use std::sync::Arc;

use policy::effects::Clock;
use policy::name::Name;

use super::explain::Query;
use super::failures::{FAILURES, FAILURES_BY_NAME};
use super::kept::BUCKETS;
use super::*;
use crate::service::RequestId;
use crate::service::acme::testing::World;
use crate::service::administrators::{Peer, PeerCertificate, Permission, Permitted, Role};
use crate::store::Change;
use crate::store::tables::{ADMINISTRATORS, AdministratorRecord};

const ADDRESS: &str = "192.0.2.7";

/// Somebody who may do everything.
async fn administrator(world: &World) -> Permitted {
    let fingerprint = "00".repeat(32);
    let record = AdministratorRecord {
        name: "Somebody".to_owned(),
        role: Role::Administrator,
        enrolled: world.clock.now(),
        removed: None,
    };
    let mut change = Change::new();
    change.put(&ADMINISTRATORS, &fingerprint, &record);
    world.store.commit(change).await.unwrap();
    let from = world.clock.now().minus(10);
    let validity = policy::validity::Validity::new(from, from.plus(86_400)).unwrap();
    let certificate = PeerCertificate { fingerprint, serial: None, validity };
    let peer = Peer { from: "test".to_owned(), certificate: Some(certificate) };
    let request = RequestId::generate(&world.services.random).unwrap();
    world.services.permit(&peer, &request, Permission::ManageLimits).unwrap()
}

fn order(world: &World, account: &str, name: &str, replaces: Replaces) -> Result<(), LimitError> {
    let names = [Name::parse(name).unwrap()];
    let from = ADDRESS.parse::<IpAddr>().ok();
    let ordered = Ordered { account, limits: RateLimits::Apply, from, names: &names, replaces };
    world.services.limits.new_order(&ordered, world.clock.now())
}

async fn fail(world: &World, account: &str, name: &str) {
    let mut change = Change::new();
    world
        .services
        .limits
        .failed(&mut change, account, &Name::parse(name).unwrap(), "nobody answered", world.clock.now())
        .unwrap();
    world.store.commit(change).await.unwrap();
}

fn rows(world: &World) -> (usize, usize, usize) {
    use std::ops::Bound::Unbounded;
    let all = (Unbounded, Unbounded);
    (
        world.store.scan(&BUCKETS, all, 999, false).unwrap().len(),
        world.store.scan(&FAILURES, all, 999, false).unwrap().len(),
        world.store.scan(&FAILURES_BY_NAME, all, 999, false).unwrap().len(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sees_every_limit_that_applies_what_is_left_and_when_it_is_refilled() {
    let world = World::limited("orders_per_account = \"2 per 1h\"\norders_per_name = \"off\"").await;
    let permitted = administrator(&world).await;
    let now = world.clock.now().0;
    for _ in 0..2 {
        order(&world, "x", "a.b.example.test", Replaces::Nothing).unwrap();
    }
    let explain = |subject: &str| {
        let explained = world.services.explain_limits(&permitted, &Subject::parse(subject).unwrap()).unwrap();
        explained.limits.into_iter().map(|one| (one.limit, one)).collect::<std::collections::BTreeMap<_, _>>()
    };
    let account = explain("x");
    let standing = &account[&Limit::OrdersPerAccount];
    assert_eq!((standing.counted.as_str(), standing.left), ("x", Some(0)));
    assert_eq!((standing.next_at, standing.full_at), (Some(now + 1800), Some(now + 3600)));
    assert_eq!(account[&Limit::Orders].left, Some(99_998));
    let address = explain(ADDRESS);
    assert_eq!(address[&Limit::OrdersPerAddress].left, Some(4998));
    assert_eq!(address[&Limit::RequestsPerAddress].left, Some(12_000));
    assert_eq!(address[&Limit::AccountsPerAddress].full_at, None);
    let name = explain("c.b.example.test");
    assert_eq!(
        (name[&Limit::OrdersPerName].counted.as_str(), &name[&Limit::OrdersPerName].rate),
        ("b.example.test", &None)
    );
    // The same from the store alone, in a process that has not counted anything yet.
    world.services.limits.save(Save::All, world.clock.now()).await;
    let world = world.restart().await;
    let explained = world.services.explain_limits(&permitted, &Subject::parse("x").unwrap()).unwrap();
    assert_eq!(explained.limits[0], *standing);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_released_begins_anew_and_what_all_share_stays_as_it_is() {
    let world = World::limited("orders_per_account = \"2 per 1h\"\npause_after = 2").await;
    let permitted = administrator(&world).await;
    for account in ["x", "y"] {
        for _ in 0..2 {
            fail(&world, account, "a.example.test").await;
        }
    }
    for _ in 0..2 {
        order(&world, "x", "a.example.test", Replaces::Nothing).unwrap();
    }
    world.services.limits.save(Save::All, world.clock.now()).await;
    let paused = world.services.failing_validations(&permitted, Query::Paused).unwrap();
    assert_eq!(paused.iter().map(|one| one.account.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    let may = |account| {
        world.services.limits.may_validate(account, &Name::parse("a.example.test").unwrap(), world.clock.now())
    };
    assert!(may("x").is_err() && may("y").is_err());

    let released = world.services.release_limits(&permitted, &Subject::parse("x").unwrap()).await.unwrap();
    assert_eq!(released.limits, [Limit::OrdersPerAccount]);
    assert_eq!((released.failing.len(), released.failing[0].paused.is_some()), (1, true));
    assert!(may("x").is_ok() && may("y").is_err());
    order(&world, "x", "a.example.test", Replaces::Nothing).unwrap();
    let all = world.services.explain_limits(&permitted, &Subject::parse("x").unwrap()).unwrap().limits;
    assert_eq!(all.iter().find(|one| one.limit == Limit::Orders).unwrap().left, Some(99_997));

    // By the name, which releases everybody who is paused for it.
    let released = world.services.release_limits(&permitted, &Subject::parse("a.example.test").unwrap()).await.unwrap();
    assert_eq!(released.failing.len(), 1);
    assert!(may("y").is_ok());
    assert_eq!(rows(&world).1, 0);
    let nothing = world.services.release_limits(&permitted, &Subject::parse("z.example.test").unwrap()).await;
    assert!(matches!(nothing, Err(ReleaseError::Nothing(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn renewals_and_exempt_accounts_are_not_counted() {
    let world = World::limited("orders_per_account = \"1 per 1h\"").await;
    for _ in 0..3 {
        order(&world, "x", "a.example.test", Replaces::Certificate).unwrap();
    }
    order(&world, "x", "a.example.test", Replaces::Nothing).unwrap();
    assert!(order(&world, "x", "a.example.test", Replaces::Nothing).is_err());
    let names = [Name::parse("a.example.test").unwrap()];
    let exempt =
        Ordered { account: "x", limits: RateLimits::Exempt, from: None, names: &names, replaces: Replaces::Nothing };
    world.services.limits.new_order(&exempt, world.clock.now()).unwrap();

    let world = World::limited("orders_per_account = \"1 per 1h\"\nexempt_renewals = false").await;
    order(&world, "x", "a.example.test", Replaces::Certificate).unwrap();
    assert!(order(&world, "x", "a.example.test", Replaces::Certificate).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_removed_from_the_store_and_pauses_are_not() {
    let world = World::limited("pause_after = 2").await;
    for number in 0..3 {
        order(&world, &format!("account-{number}"), "a.example.test", Replaces::Nothing).unwrap();
        fail(&world, &format!("account-{number}"), "a.example.test").await;
    }
    fail(&world, "account-0", "a.example.test").await;
    let limits = Arc::clone(&world.services.limits);
    limits.save(Save::All, world.clock.now()).await;
    // Three accounts, one address, one name, all.
    assert_eq!(rows(&world), (6, 3, 3));
    limits.prune_all(world.clock.now()).await;
    assert_eq!(rows(&world), (6, 3, 3));
    world.clock.advance(31 * 86_400);
    limits.prune_all(world.clock.now()).await;
    assert_eq!(rows(&world), (0, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_that_share_a_store_add_up_what_they_grant() {
    let world = World::limited("orders_per_account = \"10 per 1h\"").await;
    let other = Limits::new(world.rate_limits.clone(), None, world.store.clone());
    let names = [Name::parse("a.example.test").unwrap()];
    let now = world.clock.now();
    let take = |limits: &Limits| {
        let replaces = Replaces::Nothing;
        let ordered = Ordered { account: "x", limits: RateLimits::Apply, from: None, names: &names, replaces };
        limits.new_order(&ordered, now).is_ok()
    };
    let mut granted = 0;
    for _ in 0..20 {
        for limits in [&*world.services.limits, &other] {
            granted += u32::from(take(limits));
            limits.save(Save::All, now).await;
        }
    }
    // Each may grant one that it does not know yet to be one too many.
    assert!((10..=11).contains(&granted), "{granted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_refusals_by_limit_and_name_nobody() {
    let world = World::limited("orders_per_account = \"1 per 1h\"").await;
    for _ in 0..3 {
        let _ = order(&world, "somebody", "a.example.test", Replaces::Nothing);
    }
    let text = world.services.render_metrics();
    assert!(text.contains("signet_limit_refusals_total{limit=\"orders_per_account\"} 2"), "{text}");
    assert!(text.contains("signet_limit_refusals_total{limit=\"orders\"} 0"), "{text}");
    assert!(!text.contains("somebody") && !text.contains("example.test"));
    let mut all = Limit::ALL;
    all.sort_unstable();
    assert_eq!(all, Limit::ALL, "each counter stands at the place of its limit");
}
