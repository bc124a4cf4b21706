//! Issuing on somebody's word, against a signer on a socket.

use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _};
use hsm::journal::Entry;
use hsm::wire::SealStatus;
use policy::effects::Clock as _;
use policy::rights::{Actor, Scope};

use super::*;
use crate::issuance::testing::p256_spki;
use crate::service::acme::testing::{World, csr_for, fresh_key};
use crate::testing::DAY;

/// A world whose profiles take every kind of word.
async fn world() -> World {
    World::new().await.reassemble(|services| services.profiles.replace(profiles())).await
}

fn profiles() -> crate::current::Profiles {
    let all = "\"administrator\", \"registration\", \"renewal\", \"unproven\"]";
    let server = include_str!("../../../../packaging/profiles/server.toml");
    let client = include_str!("../../../../packaging/profiles/client.toml").replace("\"registration\", ", "");
    let open = |text: &str| text.replace("\"administrator\", \"console\"]", all);
    [("open", open(server)), ("person", open(&client)), ("server", server.to_owned()), ("client", client.clone())]
        .map(|(name, text)| {
            (name.to_owned(), std::sync::Arc::new(Profile::from_toml(&format!("{name}.toml"), &text).unwrap()))
        })
        .into()
}

fn wanted(profile: &str, key: WantedKey, names: Option<&[&str]>, warrant: Warrant) -> Wanted {
    Wanted {
        surface: "admin",
        profile: profile.to_owned(),
        key,
        names: names.map(|names| names.iter().map(|name| Name::parse(name).unwrap()).collect()),
        common_name: None,
        requested: Requested::default(),
        warrant,
        completes: Completes::Nothing,
        node: None,
    }
}

const WORD: Warrant = Warrant::Administrator { replaces: None };

fn csr(key: &EcdsaKeyPair, common_name: &str, names: &[&str]) -> WantedKey {
    WantedKey::csr(&csr_for(key, common_name, names)).unwrap()
}

/// The record of the certificate that was journalled last.
fn last(world: &World) -> AuthorizationRecord {
    let lines = world.signer.inner().lines.clone();
    let certificate = |line: &String| match serde_json::from_str::<Entry>(&line[65..]).unwrap().event {
        hsm::journal::Event::Certificate { record, .. } => Some(record),
        _ => None,
    };
    lines.iter().rev().find_map(certificate).unwrap()
}

#[tokio::test]
async fn an_administrators_word_is_evidence_for_exactly_the_names_of_the_csr() {
    let world = world().await;
    let permitted = Permitted::for_tests(&world.services);
    let key = fresh_key();
    let wish = wanted("server", csr(&key, "b.example.test", &["A.example.test", "10.0.0.1"]), None, WORD);
    let issued = world.services.issue(&permitted, wish).await.unwrap();
    let certificate = Certificate::from_der(&issued.certificate).unwrap();
    certificate.verify(world.services.issuer.now().key()).unwrap();
    let names: Vec<String> = certificate.names().iter().map(Name::to_string).collect();
    assert_eq!(names, ["a.example.test", "b.example.test", "10.0.0.1"]);
    assert_eq!(certificate.key().unwrap().spki(), p256_spki(key.public_key().as_ref()));
    assert!(issued.private_key.is_none());
    assert_eq!(issued.chain.matches("BEGIN CERTIFICATE").count(), 2);
    let record = last(&world);
    assert!(record.names.iter().all(|name| name.method == Method::Administrator && name.at == world.clock.now()));
    assert_eq!((record.actor, record.order, record.subject), (permitted.actor().who, None, None));
    assert!(world.services.certificate(&permitted, issued.serial).unwrap().is_some());
    assert!(
        world
            .services
            .render_metrics()
            .contains("signet_issuances_total{surface=\"admin\",profile=\"server\",outcome=\"issued\"} 1\n")
    );
}

#[tokio::test]
async fn names_that_are_given_count_and_those_of_the_csr_do_not() {
    let world = world().await;
    let permitted = Permitted::for_tests(&world.services);
    let key = csr(&fresh_key(), "evil.example.test", &["evil.example.test"]);
    let wish = wanted("server", key, Some(&["a.example.test"]), WORD);
    let issued = world.services.issue(&permitted, wish).await.unwrap();
    let certificate = Certificate::from_der(&issued.certificate).unwrap();
    assert_eq!(certificate.subject(), "CN=a.example.test");
    assert_eq!(certificate.names(), [Name::parse("a.example.test").unwrap()]);
}

#[tokio::test]
async fn a_key_that_is_made_here_belongs_to_the_certificate() {
    let world = world().await;
    let permitted = Permitted::for_tests(&world.services);
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048] {
        let wish = wanted("server", WantedKey::Generate(kind), Some(&["a.example.test"]), WORD);
        let issued = world.services.issue(&permitted, wish).await.unwrap();
        let private = issued.private_key.unwrap();
        let public = Certificate::from_der(&issued.certificate).unwrap().key().unwrap();
        let pair = rustls::crypto::aws_lc_rs::sign::any_supported_type(
            &rustls::pki_types::PrivatePkcs8KeyDer::from(private.pkcs8().to_vec()).into(),
        );
        assert_eq!(pair.unwrap().public_key().unwrap().as_ref(), public.spki());
        let lines = world.signer.inner().lines.join("");
        let secret = private.to_pem();
        let secret = secret.lines().nth(1).unwrap();
        assert!(!lines.contains(secret), "the journal holds a private key");
    }
    let wish = wanted("server", WantedKey::Generate(KeyKind::Ed25519), Some(&["a.example.test"]), WORD);
    let refused = world.services.issue(&permitted, wish).await.err().unwrap();
    assert!(refused.to_string().contains("does not take Ed25519 keys"), "{refused}");
}

#[tokio::test]
async fn a_word_counts_where_the_profile_takes_it_also_for_a_subject_without_names() {
    let world = world().await;
    let permitted = Permitted::for_tests(&world.services);
    let ask = async |profile: &str, subject: &str, names: &[&str], warrant| {
        let key = csr(&fresh_key(), subject, names);
        let issued = world.services.issue(&permitted, wanted(profile, key, None, warrant)).await;
        issued.map(|issued| Certificate::from_der(&issued.certificate).unwrap().subject())
    };
    for warrant in [Warrant::Registration, Warrant::Unproven] {
        let method = warrant.word().unwrap().as_str();
        let error = ask("server", "", &["a.example.test"], warrant.clone()).await.unwrap_err();
        assert!(error.to_string().contains(&format!("does not take {method} as a proof")), "{error}");
        let error = ask("client", "Jane Doe", &[], warrant.clone()).await.unwrap_err();
        assert!(error.to_string().contains(&format!("does not take {method} as a proof")), "{error}");
        assert_eq!(ask("open", "", &["a.example.test"], warrant.clone()).await.unwrap(), "CN=a.example.test");
        assert_eq!(ask("person", "Jane Doe", &[], warrant.clone()).await.unwrap(), "CN=Jane Doe");
    }
    assert_eq!(ask("client", "Jane Doe", &[], WORD).await.unwrap(), "CN=Jane Doe");
    assert_eq!(ask("server", "Jane Doe", &["a.example.test"], WORD).await.unwrap(), "CN=a.example.test");
    let wildcard = ask("open", "", &["*.example.test"], Warrant::Unproven).await.unwrap_err();
    assert!(wildcard.to_string().contains("wildcard"), "{wildcard}");
    assert!(matches!(ask("none", "", &["a.example.test"], WORD).await, Err(IssueFailure::Missing(_))));
}

#[tokio::test]
async fn a_renewal_has_the_names_of_what_it_renews_and_is_for_its_holder() {
    let world = world().await;
    let key = fresh_key();
    let administrator = Permitted::for_tests(&world.services);
    let first = wanted("open", csr(&key, "", &["a.example.test", "b.example.test"]), None, WORD);
    let first = world.services.issue(&administrator, first).await.unwrap();
    let fingerprint = hex(&Certificate::from_der(&first.certificate).unwrap().sha256());
    let (holder, stranger) = [fingerprint, "11".repeat(32)]
        .map(|fingerprint| Permitted::other_for_tests(&world.services, Actor::Client(fingerprint), Scope::Own))
        .into();
    let renew = async |who: &Permitted, names: &[&str]| {
        world.services.renew(who, "admin", first.serial, csr(&key, "", names), Requested::default()).await
    };
    world.clock.advance(DAY);
    let again = renew(&holder, &[]).await.unwrap();
    let names = |issued: &Issued| Certificate::from_der(&issued.certificate).unwrap().names().to_vec();
    assert_eq!(names(&again), names(&first));
    let record = last(&world);
    assert_eq!((record.replaces, record.names[0].method), (Some(first.serial), Method::Renewal));
    assert!(renew(&stranger, &[]).await.is_err_and(|error| error.to_string().contains("whoever shows it")));
    assert!(renew(&holder, &["a.example.test"]).await.is_err_and(|error| error.to_string().contains("exactly")));
    let by_word = renew(&administrator, &[]).await.unwrap();
    assert_eq!(names(&by_word), names(&first));
    world.clock.advance(91 * DAY);
    assert!(renew(&holder, &[]).await.is_err_and(|error| error.to_string().contains("expired")));
}

#[tokio::test]
async fn a_call_that_is_repeated_signs_once_and_one_that_changed_is_a_conflict() {
    let world = world().await;
    let permitted = Permitted::for_tests(&world.services);
    let key = fresh_key();
    let call = |id: &str, names: &[&str]| Wanted {
        completes: Completes::Call(CallId::parse(id).unwrap()),
        ..wanted("server", csr(&key, "", names), None, WORD)
    };
    let first = || world.services.issue(&permitted, call("x", &["a.example.test"]));
    let (one, two) = tokio::join!(first(), first());
    assert_eq!(one.unwrap().serial, two.unwrap().serial);
    assert_eq!(world.signer.inner().signed, 1);
    assert!(matches!(
        world.services.issue(&permitted, call("x", &["b.example.test"])).await,
        Err(IssueFailure::Conflict(_))
    ));
    world.services.issue(&permitted, call("y", &["a.example.test"])).await.unwrap();
    assert_eq!(world.signer.inner().signed, 2);
    for id in ["", "a b", "ü", &"x".repeat(65)] {
        assert!(CallId::parse(id).is_err());
    }
}

#[tokio::test]
async fn nothing_is_issued_while_sealed_and_nothing_is_asked_of_the_signer() {
    let world = world().await;
    world.signer.inner().seal = SealStatus::Sealed;
    world.services.ca.catch_up().await.unwrap();
    let permitted = Permitted::for_tests(&world.services);
    let wish = wanted("server", WantedKey::Generate(KeyKind::P256), Some(&["a.example.test"]), WORD);
    assert!(matches!(world.services.issue(&permitted, wish).await, Err(IssueFailure::Sealed)));
}
