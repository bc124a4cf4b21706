//! Challenges in general and http-01 (RFC 8555 sections 7.5.1, 8.1 to 8.3, 10.4).

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use crate::jose::{Key, decode, encode};
use crate::peer::{Judged, Peer, assert_failed, challenge, text};
use crate::responders::Reply;
use crate::world::{FORBIDDEN, World};

crate::checks! {
    "A-074" => a_challenge_is_begun_by_an_object_only,
    "A-075 A-081" => a_challenge_that_is_over_says_when_or_why,
    "A-076" => a_challenge_that_is_over_is_not_validated_again,
    "A-082" => leading_zeros_of_a_key_do_not_change_its_thumbprint,
    "A-084" => a_validation_is_tried_again_and_tells_what_goes_wrong,
    "A-085" => http01_asks_for_the_well_known_path_and_follows_redirects,
    "A-086" => http01_wants_the_key_authorization_and_says_what_it_got,
    "A-091" => validation_stays_within_the_allowed_networks_and_ports,
}

pub(crate) mod alone {
    //! What needs a long pause between attempts.
    use std::time::Instant;

    use super::*;

    crate::checks! {
        "A-084" => a_clients_post_tries_again_at_once,
    }

    fn a_clients_post_tries_again_at_once(world: &World) {
        world.with_settings("[validation]\nretry_after = \"60s\"", || {
            let mut peer = world.account();
            let order = peer.order(&[&world.name("at-once")]);
            let (_, authorization) = peer.authorization(&order);
            let one = challenge(&authorization, "http-01");
            let (token, url) = (text(&one["token"]), text(&one["url"]));
            let right = peer.key_authorization(&token);
            world
                .http
                .behave(&token, move |number| if number == 0 { Reply::status(503) } else { Reply::body(&*right) });
            peer.done(&url, &json!({}));
            while peer.read(&url).get("error").is_none() {
                assert_eq!(peer.read(&url)["status"], "processing");
            }
            let begun = Instant::now();
            peer.done(&url, &json!({}));
            peer.poll(&url, &["valid"]);
            assert!(begun.elapsed() < Duration::from_secs(20), "it did not wait for its turn");
        });
    }
}

fn a_challenge_is_begun_by_an_object_only(world: &World) {
    let mut peer = world.account();
    let order = peer.order(&[&world.name("begun")]);
    let (authorization, object) = peer.authorization(&order);
    let one = challenge(&object, "http-01");
    let (token, url) = (text(&one["token"]), text(&one["url"]));
    world.http.offer(&token, peer.key_authorization(&token));
    for wrong in ["[]", "null", "7", "\"{}\"", "{", "{}{}", " ", "true"] {
        peer.draft(&url, wrong).send().problem(400, "malformed");
    }
    // POST-as-GET looks and does not touch.
    assert_eq!(peer.read(&url)["status"], "pending");
    assert!(world.http.asked(&token).is_empty());
    let begun = peer.done(&url, &json!({}));
    assert!(begun["status"] == "processing" || begun["status"] == "valid", "{begun}");
    peer.poll(&authorization, &["valid"]);
    assert_eq!(world.http.asked(&token).len(), 1);
}

fn a_challenge_that_is_over_says_when_or_why(world: &World) {
    let mut peer = world.account();
    let order = peer.order(&[&world.name("over")]);
    let (url, object) = peer.authorization(&order);
    let valid = peer.answer(&challenge(&object, "http-01"), |peer, one| {
        let token = text(&one["token"]);
        world.http.offer(&token, peer.key_authorization(&token));
    });
    assert_eq!(valid["status"], "valid");
    assert!(text(&valid["validated"]).ends_with('Z') && valid.get("error").is_none(), "{valid}");
    assert_eq!(challenge(&peer.read(&url), "http-01"), valid);
    let order = peer.order(&[&world.name("over")]);
    let (url, object) = peer.authorization(&order);
    let invalid =
        peer.answer(&challenge(&object, "http-01"), |_, one| world.http.offer(&text(&one["token"]), "wrong".into()));
    assert_failed(&invalid, &["incorrectResponse", "unauthorized"], &[]);
    assert!(invalid.get("validated").is_none());
    assert_eq!(challenge(&peer.read(&url), "http-01"), invalid, "it stays in the authorization");
    assert_eq!(peer.read(&url)["status"], "invalid");
}

fn a_challenge_that_is_over_is_not_validated_again(world: &World) {
    let mut peer = world.account();
    for body in [None, Some("wrong")] {
        let done = peer.attempt(&world.name("again"), "http-01", |peer, one| {
            let token = text(&one["token"]);
            world.http.offer(&token, body.map_or_else(|| peer.key_authorization(&token), str::to_owned));
        });
        let (token, url) = (text(&done["token"]), text(&done["url"]));
        let asked = world.http.asked(&token).len();
        // Now it would end the other way.
        world.http.offer(&token, if body.is_some() { peer.key_authorization(&token) } else { "wrong".into() });
        for _ in 0..3 {
            let answer = peer.post(&url, &json!({}));
            if answer.status != 200 {
                answer.refused();
            }
            assert_eq!(peer.read(&url), done, "nothing changes");
        }
        assert_eq!(world.http.asked(&token).len(), asked, "nothing is asked");
    }
}

fn leading_zeros_of_a_key_do_not_change_its_thumbprint(world: &World) {
    let mut peer = Peer::stranger(world, Key::rsa());
    let mut padded = peer.key.jwk();
    let modulus = decode(&text(&padded["n"])).expect("base64url");
    padded["n"] = json!(encode([vec![0, 0], modulus].concat()));
    let payload = json!({"termsOfServiceAgreed": true}).to_string();
    let answer = peer.draft(&world.url("newAccount"), &payload).with("jwk", padded).send();
    if answer.status != 201 {
        // RFC 7518 section 6.3.1.1 does not allow it in the first place.
        answer.refused();
        peer.register(json!({}));
    } else {
        peer.kid = Some(answer.location());
    }
    // The peer computes the thumbprint over the minimal form.
    let order = peer.order(&[&world.name("zeros")]);
    peer.prove(&order);
    let kid = peer.kid.take();
    let found = peer.post(&world.url("newAccount"), &json!({"onlyReturnExisting": true}));
    assert_eq!((found.status, Some(found.location())), (200, kid), "one key, one account");
    // Coordinates of a curve keep their zeros: one in 128 keys has such a coordinate.
    let short = loop {
        let key = Key::p256();
        let starts_with_zero = |member: &str| decode(&text(&key.jwk()[member])).is_some_and(|octets| octets[0] == 0);
        if starts_with_zero("x") || starts_with_zero("y") {
            break key;
        }
    };
    let mut peer = Peer::stranger(world, short);
    peer.register(json!({}));
    let order = peer.order(&[&world.name("zeros")]);
    peer.prove(&order);
}

fn a_validation_is_tried_again_and_tells_what_goes_wrong(world: &World) {
    let mut peer = world.account();
    let order = peer.order(&[&world.name("retry")]);
    let (_, object) = peer.authorization(&order);
    let one = challenge(&object, "http-01");
    let (token, url) = (text(&one["token"]), text(&one["url"]));
    let right = peer.key_authorization(&token);
    world.http.behave(&token, move |number| if number < 2 { Reply::status(503) } else { Reply::body(&*right) });
    let answer = peer.post(&url, &json!({}));
    assert_eq!(answer.ok()["status"], "processing");
    let seconds: u64 = answer.header("retry-after").and_then(|after| after.parse().ok()).expect("Retry-After");
    assert!((1..=60).contains(&seconds));
    let mut told = None;
    let end = loop {
        let answer = peer.fetch(&url);
        let now = answer.ok();
        if now["status"] != "processing" {
            break now;
        }
        assert!(answer.header("retry-after").is_some());
        told = told.or_else(|| now.get("error").cloned());
    };
    assert_eq!(end["status"], "valid", "{end}");
    assert_eq!(world.http.asked(&token).len(), 3);
    let told = told.expect("the error is shown while it is processing");
    assert!(text(&told["type"]).starts_with("urn:ietf:params:acme:error:"), "{told}");
    assert!(text(&told["detail"]).contains("503"), "{told}");
    assert!(end.get("error").is_none());
}

fn http01_asks_for_the_well_known_path_and_follows_redirects(world: &World) {
    let mut peer = world.account();
    let port = world.rig.environment.get("SIGNET_HTTP01_PORT");
    let name = world.name("path");
    let valid = peer.attempt(&name, "http-01", |peer, one| {
        let token = text(&one["token"]);
        // White space behind it is ignored.
        world.http.offer(&token, format!("{} \r\n\t\n", peer.key_authorization(&token)));
    });
    assert_eq!(valid["status"], "valid", "{valid}");
    let token = text(&valid["token"]);
    let asked = world.http.asked(&token);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, format!("GET /.well-known/acme-challenge/{token} HTTP/1.1"));
    let host = asked[0].headers.get("host").map(|host| host.trim_end_matches(&format!(":{port}")).to_owned());
    assert_eq!(host.as_deref(), Some(name.as_str()));
    // White space before it, or within, is not.
    let invalid = peer.attempt(&world.name("path"), "http-01", |peer, one| {
        let token = text(&one["token"]);
        world.http.offer(&token, format!(" {}", peer.key_authorization(&token)));
    });
    assert_eq!(invalid["status"], "invalid");
    for status in [301, 302, 307, 308] {
        let elsewhere = world.name("target");
        let valid = peer.attempt(&world.name("redirect"), "http-01", |peer, one| {
            let (token, last) = (text(&one["token"]), format!("{status}-{}", text(&one["token"])));
            world.http.offer(&last, peer.key_authorization(&token));
            let to = format!("http://{elsewhere}:{port}/other/place/{last}");
            world.http.behave(&token, move |_| Reply { status, ..Reply::redirect(&*to) });
        });
        assert_eq!(valid["status"], "valid", "{status}: {valid}");
        let asked = world.http.asked(&format!("{status}-{}", text(&valid["token"])));
        assert!(asked[0].headers["host"].starts_with(&elsewhere), "{asked:?}");
    }
    // Relative, and without end.
    let valid = peer.attempt(&world.name("redirect"), "http-01", |peer, one| {
        let (token, last) = (text(&one["token"]), format!("relative-{}", text(&one["token"])));
        world.http.offer(&last, peer.key_authorization(&token));
        world.http.behave(&token, move |_| Reply::redirect(format!("/{last}")));
    });
    assert_eq!(valid["status"], "valid", "{valid}");
    let endless = peer.attempt(&world.name("redirect"), "http-01", |_, one| {
        let token = text(&one["token"]);
        let to = format!("/again/{token}");
        world.http.behave(&token, move |_| Reply::redirect(&*to));
    });
    assert_failed(&endless, &["connection", "unauthorized", "incorrectResponse"], &["redirect"]);
    assert!(world.http.asked(&text(&endless["token"])).len() < 100);
}

fn http01_wants_the_key_authorization_and_says_what_it_got(world: &World) {
    let (mut peer, other) = (world.account(), world.account());
    type Body<'a> = &'a dyn Fn(&Peer<'_>, &str) -> String;
    let wrong: [(&str, Body<'_>); 7] = [
        ("the token alone", &|_, token| token.to_owned()),
        ("another thumbprint", &|_, token| other.key_authorization(token)),
        ("more behind it", &|peer, token| format!("{}x", peer.key_authorization(token))),
        ("more before it", &|peer, token| format!("x{}", peer.key_authorization(token))),
        ("another case", &|peer, token| peer.key_authorization(token).to_uppercase()),
        ("nothing", &|_, _| String::new()),
        ("very much", &|peer, token| peer.key_authorization(token) + &"x".repeat(1_000_000)),
    ];
    for (what, body) in wrong {
        let name = world.name("wrong");
        let invalid = peer.attempt(&name, "http-01", |peer, one| {
            let token = text(&one["token"]);
            world.http.offer(&token, body(peer, &token));
        });
        assert_eq!(invalid["status"], "invalid", "{what}: {invalid}");
        assert_failed(&invalid, &["incorrectResponse", "unauthorized"], &[&name, "127.0.0.1"]);
        assert!(text(&invalid["error"]["detail"]).len() < 1500, "cut to a length that is fit to be read");
    }
    let name = world.name("missing");
    let invalid = peer.attempt(&name, "http-01", |_, _| {});
    assert_failed(&invalid, &["unauthorized", "incorrectResponse"], &[&name, "404"]);
    let name = world.name("closed");
    world.dns.add(&format!("{name} A 127.77.77.77"));
    assert_failed(&peer.attempt(&name, "http-01", |_, _| {}), &["connection"], &["127.77.77.77"]);
    for fault in ["NXDOMAIN", "SERVFAIL", "REFUSED"] {
        let name = world.name("dns");
        world.dns.add(&format!("{name} {fault}"));
        assert_failed(&peer.attempt(&name, "http-01", |_, _| {}), &["dns"], &[&name]);
    }
}

fn validation_stays_within_the_allowed_networks_and_ports(world: &World) {
    let mut peer = world.account();
    let port = world.rig.environment.get("SIGNET_HTTP01_PORT").to_owned();
    // The name itself leads where validation may not go. A server answers rightly there.
    let name = world.name("forbidden");
    world.dns.add(&format!("{name} A {FORBIDDEN}"));
    let invalid = peer.attempt(&name, "http-01", |peer, one| {
        let token = text(&one["token"]);
        world.http.offer(&token, peer.key_authorization(&token));
    });
    assert_failed(&invalid, &["unauthorized", "connection"], &[&FORBIDDEN.to_string()]);
    assert!(world.http.asked(&text(&invalid["token"])).is_empty(), "nobody was asked");
    // Redirects lead there: by address, by name, by other spellings, to other ports and schemes.
    let other_port = TcpListener::bind("127.0.0.1:0").expect("a port");
    other_port.set_nonblocking(true).expect("a socket");
    let other = other_port.local_addr().expect("its address");
    let forbidden = u32::from(FORBIDDEN);
    let targets = [
        format!("http://{FORBIDDEN}:{port}/"),
        format!("http://{name}:{port}/"),
        format!("http://{forbidden}:{port}/"),
        format!("http://0x{forbidden:x}:{port}/"),
        format!("http://[::ffff:{FORBIDDEN}]:{port}/"),
        format!("http://0177.0200.0.1:{port}/"),
        format!("http://user@{FORBIDDEN}:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "http://0.0.0.0/".to_owned(),
        format!("http://{other}/"),
        "ftp://127.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
    ];
    for target in targets {
        let invalid = peer.attempt(&world.name("lured"), "http-01", |peer, one| {
            let (token, last) = (text(&one["token"]), format!("lured-{}", text(&one["token"])));
            world.http.offer(&last, peer.key_authorization(&token));
            let to = if target.ends_with('/') { format!("{target}{last}") } else { target.clone() };
            world.http.behave(&token, move |_| Reply::redirect(&*to));
        });
        assert_eq!(invalid["status"], "invalid", "{target}: {invalid}");
        assert!(world.http.asked(&format!("lured-{}", text(&invalid["token"]))).is_empty(), "{target} was asked");
        assert!(other_port.accept().is_err(), "{target} was connected to");
    }
}
