//! Nonces (RFC 8555 section 6.5).

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::json;
use softhsm_tests::acme::Answer;

use crate::jose::{decode, encode};
use crate::peer::{Judged, Peer};
use crate::world::World;

crate::checks! {
    "A-023" => every_post_is_answered_with_a_nonce,
    "A-024" => a_nonce_serves_once,
    "A-025" => one_of_parallel_uses_of_a_nonce_wins,
    "A-026" => nonces_are_unique_and_cannot_be_guessed,
    "A-027" => a_nonce_that_is_not_base64url_is_malformed,
}

pub(crate) mod alone {
    //! What ends the daemon.
    use super::*;

    crate::checks! {
        "A-098" => nonces_outlive_a_restart_and_are_bad_after_a_crash,
    }

    fn nonces_outlive_a_restart_and_are_bad_after_a_crash(world: &World) {
        let mut peer = world.account();
        let (first, second) = (peer.fresh_nonce(), peer.fresh_nonce());
        world.restart(Signal::TERM);
        assert_eq!(peer.draft(&peer.kid(), "").with("nonce", first).send().status, 200, "after an orderly restart");
        world.restart(Signal::KILL);
        let answer = peer.draft(&peer.kid(), "").with("nonce", second.clone()).send();
        // With nonces in a shared store it is still good; a failure of the server it never is.
        if answer.status != 200 {
            answer.problem(400, "badNonce");
            let fresh = answer.header("replay-nonce").expect("a fresh nonce").to_owned();
            assert_eq!(peer.draft(&peer.kid(), "").with("nonce", fresh).send().status, 200);
        }
        peer.draft(&peer.kid(), "").with("nonce", second).send().problem(400, "badNonce");
    }
}

fn every_post_is_answered_with_a_nonce(world: &World) {
    let mut peer = world.account();
    let url = world.url("newOrder");
    let payload = json!({"identifiers": [{"type": "dns", "value": world.name("nonce")}]});
    type Sent<'s> = &'s dyn Fn(&mut Peer<'_>) -> Answer;
    let requests: [Sent<'_>; 8] = [
        &|peer| peer.post(&url, &payload),
        &|peer| peer.fetch(&peer.kid()),
        &|peer| peer.post(&url, &json!({})),
        &|peer| peer.draft(&url, "{}").with("alg", "none").send(),
        &|peer| peer.draft(&url, "{}").headers("").send(),
        &|peer| peer.draft(&url, "{}").altered(|_| b"nonsense".to_vec()),
        &|peer| peer.fetch(&format!("{}/acme/order/nothing", world.base())),
        &|peer| peer.fetch(&format!("{}/acme/nothing", world.base())),
    ];
    for request in requests {
        let answer = request(&mut peer);
        let nonce = answer.header("replay-nonce").unwrap_or_else(|| panic!("no nonce: {}", answer.text())).to_owned();
        assert_eq!(peer.draft(&peer.kid(), "").with("nonce", nonce).send().status, 200, "after {}", answer.text());
    }
}

fn a_nonce_serves_once(world: &World) {
    let mut peer = world.account();
    let kid = peer.kid();
    let nonce = peer.fresh_nonce();
    assert_eq!(peer.draft(&kid, "").with("nonce", nonce.as_str()).send().status, 200);
    let unknown = encode([7; 24]);
    let mut guessed = nonce.clone().into_bytes();
    let last = guessed.len() - 1;
    guessed[last] = if guessed[last] == b'A' { b'Q' } else { b'A' };
    let guessed = String::from_utf8(guessed).expect("ASCII");
    for bad in [Some(nonce.as_str()), Some(&unknown), Some(&guessed), None] {
        let draft = peer.draft(&kid, "");
        let draft = match bad {
            Some(bad) => draft.with("nonce", bad),
            None => draft.without("nonce"),
        };
        let answer = draft.send();
        answer.problem(400, "badNonce");
        let fresh = answer.header("replay-nonce").expect("a fresh nonce").to_owned();
        assert_ne!(fresh, nonce);
        assert_eq!(peer.draft(&kid, "").with("nonce", fresh).send().status, 200);
    }
    // A request that fails uses its nonce up as well.
    let nonce = peer.fresh_nonce();
    peer.draft(&world.url("newOrder"), "{}").with("nonce", nonce.as_str()).send().problem(400, "malformed");
    peer.draft(&kid, "").with("nonce", nonce).send().problem(400, "badNonce");
}

fn one_of_parallel_uses_of_a_nonce_wins(world: &World) {
    const USES: usize = 8;
    let mut peer = world.account();
    for _ in 0..5 {
        let nonce = peer.fresh_nonce();
        let url = world.url("newOrder");
        let begin = std::sync::Barrier::new(USES);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let uses: Vec<_> = (0..USES)
                .map(|_| {
                    let payload = json!({"identifiers": [{"type": "dns", "value": world.name("replay")}]}).to_string();
                    let header = json!({"alg": "ES256", "nonce": nonce, "url": url, "kid": peer.kid()});
                    let body = crate::jose::flattened(&header, payload.as_bytes(), |message| peer.key.sign(message));
                    let (begin, path) = (&begin, world.path(&url));
                    scope.spawn(move || {
                        let mut https = world.connect();
                        // The handshake is over before the race begins.
                        https.request("HEAD", &world.path(&world.url("newNonce")), None, &[]).expect("an answer");
                        begin.wait();
                        let body = body.to_string();
                        let answer = https.request("POST", &path, Some(crate::peer::JOSE), body.as_bytes());
                        let answer = answer.expect("an answer");
                        if answer.status != 201 {
                            answer.problem(400, "badNonce");
                        }
                        answer.status
                    })
                })
                .collect();
            uses.into_iter().map(|one| one.join().expect("a use")).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    }
}

fn nonces_are_unique_and_cannot_be_guessed(world: &World) {
    let mut peer = world.stranger();
    let nonces: Vec<Vec<u8>> =
        (0..200).map(|_| peer.fresh_nonce()).map(|nonce| decode(&nonce).expect("base64url")).collect();
    assert_eq!(nonces.iter().collect::<BTreeSet<_>>().len(), nonces.len(), "unique");
    for pair in nonces.windows(2) {
        let differing = pair[0].iter().zip(&pair[1]).filter(|(one, other)| one != other).count();
        // 16 random octets differ in 15.9 on average, and in fewer than 12 once in ten million pairs.
        assert!(pair[0].len() >= 16 && differing >= 12, "{pair:?} differ in {differing} octets only");
    }
    let mut peer = world.account();
    let nonce = decode(&peer.fresh_nonce()).expect("base64url");
    for at in 0..nonce.len() {
        let mut near = nonce.clone();
        near[at] = near[at].wrapping_add(1);
        peer.draft(&peer.kid(), "").with("nonce", encode(near)).send().problem(400, "badNonce");
    }
    assert_eq!(peer.draft(&peer.kid(), "").with("nonce", encode(nonce)).send().status, 200);
}

fn a_nonce_that_is_not_base64url_is_malformed(world: &World) {
    let mut peer = world.account();
    let good = peer.fresh_nonce();
    for bad in ["not base64url!", "a+b/", "é", "\u{0}", &format!("{good}="), &format!(" {good}"), &format!("{good}\n")]
    {
        peer.draft(&peer.kid(), "").with("nonce", bad).send().problem(400, "malformed");
    }
    for bad in [json!(5), json!(null), json!([good]), json!({})] {
        let answer = peer.draft(&peer.kid(), "").with("nonce", bad.clone()).send();
        let problem = answer.refused();
        // null is as good as missing.
        let kinds: &[&str] = if bad.is_null() { &["malformed", "badNonce"] } else { &["malformed"] };
        assert!(kinds.iter().any(|kind| text_ends(&problem, kind)), "{problem}");
    }
}

fn text_ends(problem: &serde_json::Value, kind: &str) -> bool {
    problem["type"].as_str().is_some_and(|found| found.ends_with(&format!(":{kind}")))
}
