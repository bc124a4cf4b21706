//! keyChange (RFC 8555 section 7.3.5).

use serde_json::{Value, json};
use softhsm_tests::acme::Answer;

use crate::jose::{Key, flattened};
use crate::peer::{Judged, Peer, text, texts};
use crate::world::World;

crate::checks! {
    "A-056" => both_signatures_and_everything_in_them_are_verified,
    "A-057" => a_key_that_an_account_has_is_a_conflict,
    "A-058" => after_a_rollover_the_old_key_is_dead_and_the_orders_live,
}

/// The inner JWS that is right.
fn inner(peer: &Peer<'_>, new: &Key) -> Value {
    inner_with(peer, new, |_, _| {})
}

/// The inner JWS, with header and payload altered before they are signed by the new key.
fn inner_with(peer: &Peer<'_>, new: &Key, alter: impl Fn(&mut Value, &mut Value)) -> Value {
    let mut header = json!({"alg": new.algorithm(), "jwk": new.jwk(), "url": peer.world.url("keyChange")});
    let mut payload = json!({"account": peer.kid(), "oldKey": peer.key.jwk()});
    alter(&mut header, &mut payload);
    flattened(&header, payload.to_string().as_bytes(), |message| new.sign(message))
}

fn change(peer: &mut Peer<'_>, inner: &Value) -> Answer {
    peer.post(&peer.world.url("keyChange"), inner)
}

fn both_signatures_and_everything_in_them_are_verified(world: &World) {
    let (mut peer, new, third) = (world.account(), Key::p256(), Key::p256());
    let other = world.account();
    let url = world.url("keyChange");
    type Alter<'a> = &'a dyn Fn(&mut Value, &mut Value);
    let wrong: [(&str, Alter<'_>); 13] = [
        ("another account", &|_, payload| payload["account"] = json!(other.kid())),
        ("no account", &|_, payload| drop(payload.as_object_mut().expect("an object").remove("account"))),
        ("another old key", &|_, payload| payload["oldKey"] = third.jwk()),
        ("the new key as the old", &|_, payload| payload["oldKey"] = new.jwk()),
        ("no old key", &|_, payload| drop(payload.as_object_mut().expect("an object").remove("oldKey"))),
        ("another url", &|header, _| header["url"] = json!(world.url("newOrder"))),
        ("no url", &|header, _| drop(header.as_object_mut().expect("an object").remove("url"))),
        ("a nonce inside", &|header, _| header["nonce"] = json!("bm9uY2U")),
        ("a kid inside", &|header, _| header["kid"] = json!(other.kid())),
        ("another jwk inside", &|header, _| header["jwk"] = third.jwk()),
        ("no jwk inside", &|header, _| drop(header.as_object_mut().expect("an object").remove("jwk"))),
        ("algorithm none inside", &|header, _| header["alg"] = json!("none")),
        ("a MAC inside", &|header, _| header["alg"] = json!("HS256")),
    ];
    for (what, alter) in wrong {
        let inner = inner_with(&peer, &new, alter);
        let answer = change(&mut peer, &inner);
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        answer.refused();
    }
    // The inner signature is by another key than the inner jwk.
    let header = json!({"alg": "ES256", "jwk": new.jwk(), "url": url});
    let payload = json!({"account": peer.kid(), "oldKey": peer.key.jwk()}).to_string();
    let forged = flattened(&header, payload.as_bytes(), |message| third.sign(message));
    change(&mut peer, &forged).refused();
    // Not a flattened JWS.
    let mut unprotected = inner(&peer, &new);
    unprotected["header"] = json!({});
    let mut several = inner(&peer, &new);
    several["signatures"] = json!([]);
    for wrong in [json!({}), json!({"protected": 1}), unprotected, several] {
        change(&mut peer, &wrong).problem(400, "malformed");
    }
    // The outer one is not by the old key.
    let right = inner(&peer, &new);
    peer.draft(&url, right.to_string()).signed_by(&new).refused();
    peer.draft(&url, right.to_string()).without("kid").with("jwk", new.jwk()).signed_by(&new).refused();
    // A weak new key.
    let weak = inner_with(&peer, &new, |header, _| header["jwk"]["y"] = header["jwk"]["x"].clone());
    change(&mut peer, &weak).problem(400, "badPublicKey");
    // Nothing of all that had an effect.
    assert_eq!(peer.read(&peer.kid())["status"], "valid");
    let answer = change(&mut peer, &right);
    assert_eq!(answer.status, 200, "{}", answer.text());
    peer.key = new;
    assert_eq!(peer.read(&peer.kid())["status"], "valid");
}

fn a_key_that_an_account_has_is_a_conflict(world: &World) {
    let (mut peer, other) = (world.account(), world.account());
    let conflict = inner(&peer, &other.key);
    let answer = change(&mut peer, &conflict);
    assert_eq!((answer.status, answer.location()), (409, other.kid()));
    answer.refused();
    // One's own, too: nothing would change.
    let Key::P256 { .. } = peer.key else { unreachable!("accounts of tests have P-256 keys") };
    let same = inner_with(&peer, &peer.key, |_, _| {});
    assert_eq!(change(&mut peer, &same).status, 409);
    assert_eq!(peer.read(&peer.kid())["status"], "valid");
}

fn after_a_rollover_the_old_key_is_dead_and_the_orders_live(world: &World) {
    let mut peer = world.account();
    let name = world.name("rollover");
    let order = peer.order(&[&name]);
    let (url, _) = peer.authorization(&order);
    peer.prove(&order);
    for new in [Key::p384(), Key::ed25519(), Key::rsa()] {
        let kid = peer.kid();
        let right = inner(&peer, &new);
        let answer = change(&mut peer, &right);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let old = std::mem::replace(&mut peer.key, new);
        let mut ghost = Peer::stranger(world, old);
        ghost.kid = Some(kid.clone());
        ghost.fetch(&kid).refused();
        ghost.kid = None;
        let look = json!({"onlyReturnExisting": true});
        ghost.post(&world.url("newAccount"), &look).problem(400, "accountDoesNotExist");
        let found = {
            peer.kid = None;
            peer.post(&world.url("newAccount"), &look)
        };
        assert_eq!((found.status, found.location()), (200, kid.clone()), "the URL stays");
        peer.kid = Some(kid);
        assert_eq!(peer.read(&order.url)["status"], "ready");
        assert_eq!(peer.read(&url)["status"], "valid");
    }
    let list = text(&peer.read(&peer.kid())["orders"]);
    assert_eq!(texts(&peer.read(&list)["orders"]), [order.url.as_str()]);
    let key = Key::p256();
    peer.finalize(&order, &crate::der::csr(&key, &[&name])).ok();
    peer.download(order, key);
}
