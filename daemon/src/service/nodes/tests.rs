//! Nodes and seeds against a store and a signer on a socket.

use policy::csr::Csr;
use policy::profile::Profile;
use policy::registration::Thumbprint;

use super::super::issue::WantedKey;
use super::super::peer::PeerCertificate;
use super::*;
use crate::service::acme::testing::{World, csr_for, fresh_key};

async fn world() -> World {
    World::new().await.reassemble(|services| services.profiles.replace(profiles())).await
}

fn profiles() -> crate::current::Profiles {
    let node = include_str!("../../../../packaging/profiles/node.toml");
    let server = include_str!("../../../../packaging/profiles/server.toml");
    let waiting = format!("{node}\n[approval]\nrequired = true\n");
    [("node", node), ("server", server), ("waiting", &waiting)]
        .map(|(name, text)| {
            (name.to_owned(), std::sync::Arc::new(Profile::from_toml(&format!("{name}.toml"), text).unwrap()))
        })
        .into()
}

fn name(text: &str) -> CommonName {
    CommonName::parse(text).unwrap()
}

fn registration(text: &str) -> Registration {
    Registration { common_name: name(text), names: Vec::new(), profile: "node".to_owned(), account: None }
}

fn csr(node: &str) -> Csr {
    Csr::from_der(&csr_for(&fresh_key(), node, &[node])).unwrap()
}

async fn certify(world: &World, node: &str) -> Peer {
    let permitted = Permitted::for_tests(&world.services);
    let (_, seed) = world.services.issue_seed(&permitted, &name(node), 60).await.unwrap();
    let request = Request { csr: csr(node), profile: None, surface: "test" };
    let certified = world.services.certify_by_seed(&permitted, seed.reveal(), request).await.unwrap();
    let certificate = Some(PeerCertificate::read(&certified.issued.certificate).unwrap());
    Peer { from: "test".to_owned(), certificate }
}

#[tokio::test]
async fn a_node_goes_from_registered_over_certified_to_revoked_and_deleted() {
    let world = world().await;
    let (services, permitted) = (&world.services, Permitted::for_tests(&world.services));
    let node = services.register_node(&permitted, registration("a.example.test")).await.unwrap();
    assert_eq!((node.state, node.certificate), (NodeState::Registered, None));
    assert!(matches!(
        services.register_node(&permitted, registration("a.example.test")).await,
        Err(Failure::Conflict(_))
    ));
    let state = || services.node(&permitted, &name("a.example.test")).unwrap();
    let first = certify(&world, "a.example.test").await;
    assert_eq!(state().state, NodeState::Certified);
    assert_eq!(services.node_of(&first).unwrap().unwrap().registration.common_name, name("a.example.test"));
    // The youngest certificate counts.
    world.clock.advance(1);
    let second = certify(&world, "a.example.test").await;
    assert_eq!(state().certificate, second.certificate.as_ref().unwrap().serial);
    let serial = second.certificate.as_ref().unwrap().serial.unwrap();
    let revoke = Deed::Revoke { reason: None, invalidity: None };
    services.act(&permitted, &[serial], revoke).await.unwrap();
    assert_eq!(state().state, NodeState::Revoked);
    assert!(services.node_of(&second).unwrap().is_none() && services.node_of(&first).unwrap().is_some());

    assert_eq!(services.delete_node(&permitted, &name("a.example.test")).await.unwrap(), 1);
    assert_eq!((state().state, state().deleted.is_some()), (NodeState::Deleted, true));
    assert!(services.node_of(&first).unwrap().is_none());
    assert!(matches!(services.delete_node(&permitted, &name("a.example.test")).await, Err(Failure::Missing(_))));
    // Another one of that name begins anew.
    world.clock.advance(1);
    services.register_node(&permitted, registration("a.example.test")).await.unwrap();
    assert_eq!((state().state, state().certificate), (NodeState::Registered, None));
    certify(&world, "a.example.test").await;
    world.clock.advance(61 * 86_400);
    assert_eq!(state().state, NodeState::Expired);
}

#[tokio::test]
async fn what_can_never_be_certified_is_not_registered() {
    let world = world().await;
    let permitted = Permitted::for_tests(&world.services);
    for (node, profile, says) in [
        ("a.example.test", "none", "no profile"),
        ("a.example.test", "server", "does not take a registration"),
        ("a.example.test", "waiting", "wait for an approval"),
        ("203.0.113.1", "node", "does not permit"),
    ] {
        let wish = Registration { profile: profile.to_owned(), ..registration(node) };
        let failure = world.services.register_node(&permitted, wish).await.unwrap_err();
        assert!(matches!(&failure, Failure::Conflict(why) if why.contains(says)), "{failure}");
    }
    let nodes = world.services.nodes(&permitted, None, 10, DeletedOnes::Included).unwrap();
    assert_eq!(nodes.nodes, []);
}

#[tokio::test]
async fn nodes_are_listed_in_pages_by_name_without_the_deleted_ones() {
    let world = world().await;
    let permitted = Permitted::for_tests(&world.services);
    for index in 0..5 {
        world.services.register_node(&permitted, registration(&format!("n{index}.example.test"))).await.unwrap();
    }
    world.services.delete_node(&permitted, &name("n1.example.test")).await.unwrap();
    for (deleted, expected) in [(DeletedOnes::LeftOut, "0234"), (DeletedOnes::Included, "01234")] {
        let (mut seen, mut after) = (String::new(), None);
        loop {
            let page = world.services.nodes(&permitted, after.as_ref(), 2, deleted).unwrap();
            assert!(page.nodes.len() <= 2);
            seen.extend(page.nodes.iter().map(|node| char::from(node.registration.common_name.as_str().as_bytes()[1])));
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn an_account_is_one_nodes() {
    let world = world().await;
    let (services, permitted) = (&world.services, Permitted::for_tests(&world.services));
    let account = Some(Thumbprint::parse(&"t".repeat(43)).unwrap());
    let with = |node: &str| Registration { account: account.clone(), ..registration(node) };
    services.register_node(&permitted, with("a.example.test")).await.unwrap();
    services.register_node(&permitted, registration("b.example.test")).await.unwrap();
    assert!(matches!(services.change_node(&permitted, with("b.example.test")).await, Err(Failure::Conflict(_))));
    let owner = || services.node_of_account(&"t".repeat(43)).unwrap().map(|node| node.registration.common_name);
    assert_eq!(owner(), Some(name("a.example.test")));
    services.change_node(&permitted, registration("a.example.test")).await.unwrap();
    assert_eq!(owner(), None);
    services.change_node(&permitted, with("b.example.test")).await.unwrap();
    services.delete_node(&permitted, &name("b.example.test")).await.unwrap();
    assert_eq!(owner(), None);
    services.register_node(&permitted, with("c.example.test")).await.unwrap();
    assert_eq!(owner(), Some(name("c.example.test")));
}

#[tokio::test]
async fn seeds_are_listed_without_their_secret_and_their_lifetime_is_bounded() {
    let world = world().await;
    let (services, permitted) = (&world.services, Permitted::for_tests(&world.services));
    let node = name("a.example.test");
    services.register_node(&permitted, registration("a.example.test")).await.unwrap();
    for lifetime in [0, LONGEST_LIFETIME + 1] {
        assert!(matches!(services.issue_seed(&permitted, &node, lifetime).await, Err(Failure::Conflict(_))));
    }
    assert!(matches!(services.issue_seed(&permitted, &name("b.test"), 60).await, Err(Failure::Missing(_))));
    let (listed, seed) = services.issue_seed(&permitted, &node, 60).await.unwrap();
    assert_eq!((listed.standing, seed.reveal().len()), (SeedStanding::Fresh, 64));
    assert!(!seed.reveal().contains(&listed.id));
    world.clock.advance(61);
    assert_eq!(services.seeds(&permitted, &node).unwrap()[0].standing, SeedStanding::Expired);
    // What was over long ago leaves with the next one that is made.
    world.clock.advance(31 * 86_400);
    services.issue_seed(&permitted, &node, 60).await.unwrap();
    assert_eq!(services.seeds(&permitted, &node).unwrap().len(), 1);
}

#[tokio::test]
async fn a_node_that_is_registered_and_could_not_be_certified_gets_its_certificate_later() {
    let world = world().await;
    let (services, permitted) = (&world.services, Permitted::for_tests(&world.services));
    let key = || WantedKey::Csr(Box::new(csr("a.example.test")));
    services.register_node(&permitted, registration("a.example.test")).await.unwrap();
    let certified = services.register_and_certify(&permitted, registration("a.example.test"), &[], key(), "test").await;
    assert!(certified.is_ok());
    let again = services.register_and_certify(&permitted, registration("a.example.test"), &[], key(), "test").await;
    assert!(matches!(again, Err(CertifyError::Failure(Failure::Conflict(_)))));
}
