//! Rate limits (RFC 8555 section 6.6) and patience (section 7.4).

use serde_json::json;

use crate::der::csr;
use crate::jose::Key;
use crate::peer::{Judged, texts};
use crate::world::{WEBSITE, World};

crate::checks! {
    "A-028" => who_asks_for_too_much_is_told_when_to_come_back,
    "A-067 A-044" => an_order_may_be_processed_in_the_background,
    "A-035" => pre_authorization_is_not_offered_when_it_is_off,
}

fn who_asks_for_too_much_is_told_when_to_come_back(world: &World) {
    let mut peer = world.account();
    let settings = r#"
        [rate_limits]
        exempt_networks = []
        orders_per_account = "2 per 1h"
        accounts_per_address = "1 per 1h"
    "#;
    world.with_settings(settings, || {
        let mut made = 0;
        let answer = loop {
            let answer = peer.ask(&[&world.name("limit")], json!({}));
            if answer.status != 201 {
                break answer;
            }
            made += 1;
            assert!(made < 10, "there is no limit");
        };
        answer.problem(429, "rateLimited");
        let seconds: u64 = answer.header("retry-after").and_then(|after| after.parse().ok()).expect("Retry-After");
        assert!((1..=3600).contains(&seconds), "{seconds}");
        assert_eq!(answer.links("help"), [WEBSITE]);
        // What does not count goes on, and so do others.
        peer.read(&peer.kid());
        let mut other = world.account();
        other.order(&[&world.name("limit")]);
        let mut third = world.stranger();
        third.post(&world.url("newAccount"), &json!({"termsOfServiceAgreed": true})).problem(429, "rateLimited");
    });
}

fn an_order_may_be_processed_in_the_background(world: &World) {
    let (mut peer, name) = (world.account(), world.name("background"));
    world.with_settings("[acme]\nfinalize_patience = \"1ms\"", || {
        let order = peer.order(&[&name]);
        peer.prove(&order);
        let key = Key::p256();
        let der = csr(&key, &[&name]);
        let answer = peer.finalize(&order, &der);
        let shown = answer.ok();
        assert_eq!(shown["status"], "processing", "a token is not that fast");
        assert!(answer.header("retry-after").and_then(|after| after.parse::<u64>().ok()).is_some());
        assert_eq!(answer.location(), order.url);
        assert_eq!(texts(&shown["authorizations"]), texts(&order.object["authorizations"]));
        // Asked again meanwhile, it is the same order, and one certificate.
        let again = peer.finalize(&order, &der);
        if again.status != 200 {
            again.problem(403, "orderNotReady");
        }
        let issued = peer.download(order, key);
        let first = peer.read(&issued.order)["certificate"].clone();
        assert_eq!(first, issued.certificate.as_str());
    });
}

fn pre_authorization_is_not_offered_when_it_is_off(world: &World) {
    let mut peer = world.account();
    world.with_settings("[acme]\npre_authorization = false", || {
        assert!(world.look_up_directory().get("newAuthz").is_none());
        let payload = json!({"identifier": {"type": "dns", "value": world.name("pre")}});
        let url =
            world.directory["newAuthz"].as_str().map_or(format!("{}/acme/new-authz", world.base()), str::to_owned);
        peer.post(&url, &payload).refused();
    });
}
