//! Accounts (RFC 8555 sections 7.1.2 and 7.3).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::jose::Key;
use crate::peer::{Judged, Peer, challenge, text, texts};
use crate::world::{TERMS, World};

crate::checks! {
    "A-037" => an_account_shows_its_status_contact_terms_and_orders,
    "A-038" => the_orders_list_is_complete_without_invalid_ones,
    "A-046" => a_new_account_is_created_and_located,
    "A-047" => looking_for_an_account_creates_none,
    "A-048" => orders_and_status_in_new_account_are_ignored,
    "A-049" => contacts_are_checked,
    "A-050" => an_account_must_agree_to_the_terms,
    "A-051" => a_known_key_gets_its_account_unchanged,
    "A-052" => an_update_replaces_the_contact_and_nothing_else,
    "A-059 A-099" => a_deactivated_account_is_dead_and_its_certificates_are_not,
    "A-093" => keys_of_accounts_and_certificates_are_kept_apart,
}

pub(crate) mod alone {
    //! What changes the terms.
    use super::*;

    crate::checks! {
        "A-053" => changed_terms_must_be_agreed_to,
    }

    fn changed_terms_must_be_agreed_to(world: &World) {
        let mut peer = world.account();
        let name = world.name("terms");
        let order = peer.order(&[&name]);
        let settings = r#"
            [acme]
            terms_of_service = "https://ca.example.test/terms/2"
            terms_of_service_changed = "require"
        "#;
        world.with_settings(settings, || {
            assert_eq!(world.look_up_directory()["meta"]["termsOfService"], "https://ca.example.test/terms/2");
            let payload = json!({"identifiers": [{"type": "dns", "value": name}]});
            let answer = peer.post(&world.url("newOrder"), &payload);
            let problem = answer.problem(403, "userActionRequired");
            assert_eq!(answer.links("terms-of-service"), ["https://ca.example.test/terms/2"]);
            assert!(text(&problem["instance"]).starts_with("https://"), "{problem}");
            // Something else than agreement does not help.
            peer.post(&peer.kid(), &json!({"termsOfServiceAgreed": false}));
            peer.post(&world.url("newOrder"), &payload).problem(403, "userActionRequired");
            let account = peer.done(&peer.kid(), &json!({"termsOfServiceAgreed": true}));
            assert_eq!((&account["status"], &account["termsOfServiceAgreed"]), (&json!("valid"), &json!(true)));
            assert_eq!(peer.post(&world.url("newOrder"), &payload).status, 201);
            peer.read(&order.url);
            world.account();
        });
    }
}

fn contact(text: &str) -> Value {
    json!({"contact": [text]})
}

fn an_account_shows_its_status_contact_terms_and_orders(world: &World) {
    let mut peer = world.stranger();
    let created = peer.register(contact("mailto:admin@example.test"));
    let read = peer.read(&peer.kid());
    assert_eq!(created, read, "created and read are the same object");
    assert_eq!(read["status"], "valid");
    assert_eq!(read["contact"], json!(["mailto:admin@example.test"]));
    assert_eq!(read["termsOfServiceAgreed"], true);
    assert!(read.get("externalAccountBinding").is_none());
    let orders = text(&read["orders"]);
    assert_eq!(peer.read(&orders), json!({"orders": []}));
    let without = Peer::account(world).read_self();
    assert!(without.get("contact").is_none_or(|contact| contact == &json!([])), "{without}");
}

impl Peer<'_> {
    /// The account object.
    fn read_self(&mut self) -> Value {
        self.read(&self.kid())
    }

    /// Every order in the account's list, and how many pages it has.
    fn listed(&mut self) -> (Vec<String>, usize) {
        let (mut next, mut all, mut pages) = (Some(text(&self.read_self()["orders"])), Vec::new(), 0);
        while let Some(url) = next {
            let answer = self.fetch(&url);
            all.extend(texts(&answer.ok()["orders"]));
            next = answer.links("next").first().cloned();
            pages += 1;
            assert!(pages < 100, "the list does not end");
        }
        (all, pages)
    }
}

fn the_orders_list_is_complete_without_invalid_ones(world: &World) {
    let mut peer = world.account();
    let name = world.name("listed");
    let mut expected: BTreeSet<String> = (0..60).map(|_| peer.order(&[&name]).url).collect();
    expected.insert(peer.issue(&[&world.name("listed")]).order);
    // One that becomes invalid is in the list no more.
    let broken = peer.order(&[&world.name("listed")]);
    assert!(peer.listed().0.contains(&broken.url), "a pending order is listed");
    let (_, authorization) = peer.authorization(&broken);
    peer.done(&text(&challenge(&authorization, "http-01")["url"]), &json!({}));
    peer.poll(&broken.url, &["invalid"]);
    let (all, pages) = peer.listed();
    assert_eq!(all.len(), expected.len(), "none twice, none lost");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), expected);
    assert!(pages > 1, "a long list has pages");
    let url = text(&peer.read_self()["orders"]);
    world.account().fetch(&url).problem(403, "unauthorized");
}

fn a_new_account_is_created_and_located(world: &World) {
    let mut peer = world.stranger();
    let answer = peer.post(&world.url("newAccount"), &json!({"termsOfServiceAgreed": true}));
    assert_eq!(answer.status, 201);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    let location = answer.location();
    assert!(location.starts_with(&format!("{}/", world.base())));
    let mut others: BTreeSet<String> = (0..3).map(|_| world.account().kid()).collect();
    assert!(others.insert(location.clone()), "every account has a URL of its own");
    peer.kid = Some(location);
    assert_eq!(peer.read_self(), answer.json());
}

fn looking_for_an_account_creates_none(world: &World) {
    let mut peer = world.stranger();
    let look = json!({"onlyReturnExisting": true, "termsOfServiceAgreed": true});
    for _ in 0..2 {
        peer.post(&world.url("newAccount"), &look).problem(400, "accountDoesNotExist");
    }
    peer.register(json!({}));
    let kid = peer.kid.take().expect("an account");
    let found = peer.post(&world.url("newAccount"), &look);
    assert_eq!((found.status, found.location()), (200, kid));
}

fn orders_and_status_in_new_account_are_ignored(world: &World) {
    let mut peer = world.stranger();
    let account = peer.register(json!({
        "status": "deactivated", "orders": "https://elsewhere.example.test/", "id": 7, "createdAt": "yesterday",
    }));
    assert_eq!(account["status"], "valid");
    assert!(text(&account["orders"]).starts_with(world.base()));
    peer.order(&[&world.name("ignored")]);
    // A wrong type of what is ignored is ignored, too.
    world.stranger().register(json!({"status": 7, "orders": []}));
}

fn contacts_are_checked(world: &World) {
    let unsupported = ["tel:+4912345", "https://example.test/", "xmpp:a@example.test"];
    let invalid = [
        "mailto:",
        "mailto:nobody",
        "mailto:@example.test",
        "mailto:a@",
        "mailto:a@example.test?subject=hello",
        "mailto:a@example.test,b@example.test",
        "mailto:a@example.test%2Cb@example.test",
        "mailto:a@exa mple.test",
        "mailto:a@b@example.test",
        "mailto:a@-example.test",
        "mailto:a@example..test",
        "mailto:a\u{7}@example.test",
    ];
    for (list, kind) in [(&unsupported[..], "unsupportedContact"), (&invalid[..], "invalidContact")] {
        for wrong in list {
            let payload = json!({"termsOfServiceAgreed": true, "contact": [wrong]});
            let problem = world.stranger().post(&world.url("newAccount"), &payload).problem(400, kind);
            assert!(text(&problem["detail"]).len() > 10, "{problem}");
        }
    }
    let none = json!({"termsOfServiceAgreed": true, "contact": ["no URL at all"]});
    world.stranger().post(&world.url("newAccount"), &none).refused();
    let mut peer = world.stranger();
    let good = ["mailto:a@example.test", "mailto:first.last+tag@sub.example.test"];
    assert_eq!(peer.register(json!({"contact": good}))["contact"], json!(good));
    // The same rules hold for an update, and a refused one changes nothing.
    peer.post(&peer.kid(), &contact("tel:+4912345")).problem(400, "unsupportedContact");
    peer.post(&peer.kid(), &contact("mailto:a@example.test?cc=b@example.test")).problem(400, "invalidContact");
    peer.post(&peer.kid(), &json!({"contact": "mailto:a@example.test"})).problem(400, "malformed");
    assert_eq!(peer.read_self()["contact"], json!(good));
}

fn an_account_must_agree_to_the_terms(world: &World) {
    for members in [json!({}), json!({"termsOfServiceAgreed": false}), contact("mailto:a@example.test")] {
        let mut peer = world.stranger();
        let problem = peer.post(&world.url("newAccount"), &members).refused();
        let kinds = ["malformed", "userActionRequired"];
        assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{problem}");
        assert!(text(&problem["detail"]).contains(TERMS), "it says where the terms are: {problem}");
        let look = json!({"onlyReturnExisting": true});
        peer.post(&world.url("newAccount"), &look).problem(400, "accountDoesNotExist");
    }
    world.stranger().post(&world.url("newAccount"), &json!({"termsOfServiceAgreed": "yes"})).problem(400, "malformed");
}

fn a_known_key_gets_its_account_unchanged(world: &World) {
    for key in [Key::p256(), Key::rsa()] {
        let mut peer = Peer::stranger(world, key);
        let created = peer.register(contact("mailto:first@example.test"));
        let kid = peer.kid.take().expect("an account");
        let other = json!({"termsOfServiceAgreed": true, "contact": ["mailto:second@example.test"]});
        for payload in [other, json!({}), json!({"onlyReturnExisting": true}), contact("tel:1")] {
            let answer = peer.post(&world.url("newAccount"), &payload);
            assert_eq!((answer.status, answer.location()), (200, kid.clone()), "{}", answer.text());
            assert_eq!(answer.json(), created);
        }
    }
}

fn an_update_replaces_the_contact_and_nothing_else(world: &World) {
    let mut peer = world.stranger();
    peer.register(json!({"contact": ["mailto:a@example.test", "mailto:b@example.test"]}));
    let before = peer.read_self();
    let updated = peer.done(&peer.kid(), &contact("mailto:c@example.test"));
    assert_eq!(updated["contact"], json!(["mailto:c@example.test"]));
    assert_eq!(peer.read_self(), updated);
    let ignored = json!({
        "status": "valid", "orders": "https://elsewhere.example.test/", "unknown": 1,
        "externalAccountBinding": {}, "termsOfServiceAgreed": true,
    });
    let after = peer.done(&peer.kid(), &ignored);
    assert_eq!(after, updated);
    assert_eq!((&after["orders"], &after["status"]), (&before["orders"], &before["status"]));
    peer.post(&peer.kid(), &json!({"status": "revoked"}));
    assert_eq!(peer.read_self()["status"], "valid", "a client does not set any status");
    let emptied = peer.done(&peer.kid(), &json!({"contact": []}));
    assert!(emptied.get("contact").is_none_or(|contact| contact == &json!([])), "{emptied}");
    world.account().post(&peer.kid(), &contact("mailto:evil@example.test")).problem(403, "unauthorized");
}

fn a_deactivated_account_is_dead_and_its_certificates_are_not(world: &World) {
    let mut peer = world.account();
    let issued = peer.issue(&[&world.name("dead")]);
    let name = world.name("dead");
    let (order, kid) = (peer.order(&[&name]), peer.kid());
    let (authorization, _) = peer.authorization(&order);
    assert_eq!(peer.done(&kid, &json!({"status": "deactivated"}))["status"], "deactivated");
    for url in [&kid, &order.url, &authorization, &issued.certificate] {
        peer.fetch(url).problem(401, "unauthorized");
    }
    peer.ask(&[&name], json!({})).problem(401, "unauthorized");
    peer.post(&kid, &json!({"status": "valid"})).problem(401, "unauthorized");
    let revoke = peer.revoke(&issued.leaf, json!({}));
    revoke.problem(401, "unauthorized");
    // newAccount does not bring it back.
    peer.kid = None;
    for payload in [json!({"termsOfServiceAgreed": true}), json!({"onlyReturnExisting": true})] {
        let problem = peer.post(&world.url("newAccount"), &payload).refused();
        assert!(text(&problem["type"]).ends_with(":unauthorized"), "{problem}");
        assert!(problem["status"] == 401 || problem["status"] == 403, "{problem}");
    }
    let serial = serial(&issued.leaf);
    let shown = world.signetctl_json(&["cert", "show", &serial]);
    assert!(shown["revoked"].is_null(), "the certificate stays: {shown}");
    let shown = world.signetctl_json(&["acme", "order", "show", order.url.rsplit('/').next().expect("an id")]);
    assert_eq!(shown["status"], "invalid", "the pending order ended: {shown}");
}

/// Serial number of a certificate, as signetctl writes it.
pub(crate) fn serial(leaf: &[u8]) -> String {
    use x509_cert::der::Decode;
    let certificate = x509_cert::Certificate::from_der(leaf).expect("a certificate");
    let serial = certificate.tbs_certificate().serial_number().as_bytes();
    serial.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn keys_of_accounts_and_certificates_are_kept_apart(world: &World) {
    // The key of a certificate does not become that of an account.
    let mut peer = world.account();
    let issued = peer.issue(&[&world.name("apart")]);
    let mut thief = Peer::stranger(world, issued.key);
    let answer = thief.post(&world.url("newAccount"), &json!({"termsOfServiceAgreed": true}));
    answer.problem(400, "badPublicKey");
    // The key of an account, one's own or another's, does not become that of a certificate.
    let other = world.account();
    let name = world.name("apart");
    let order = peer.order(&[&name]);
    peer.prove(&order);
    let own = crate::der::csr(&peer.key, &[&name]);
    for der in [own, crate::der::csr(&other.key, &[&name])] {
        let problem = peer.finalize(&order, &der).refused();
        let kinds = ["badCSR", "badPublicKey"];
        assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{problem}");
    }
    assert_eq!(peer.read(&order.url)["status"], "ready");
}
