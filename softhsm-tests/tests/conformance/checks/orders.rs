//! Orders and authorizations (RFC 8555 sections 7.1.3 to 7.1.6, 7.4, 7.5).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::der::csr;
use crate::jose::{Key, decode, encode, sha256};
use crate::peer::{Judged, Order, Peer, challenge, text, texts};
use crate::responders::Reply;
use crate::world::World;

crate::checks! {
    "A-031 A-062" => refused_identifiers_are_listed_as_subproblems,
    "A-035 A-069" => pre_authorization_is_offered_if_and_only_if_it_works,
    "A-039" => an_order_shows_what_its_state_demands,
    "A-040" => identifiers_and_authorizations_of_an_order_never_change,
    "A-041 A-087 T-05" => a_wildcard_is_authorized_at_its_base_and_by_dns_only,
    "A-042 A-072 A-081" => an_authorization_shows_its_challenges,
    "A-043" => names_that_are_no_a_labels_are_refused,
    "A-044" => every_transition_is_one_of_the_state_machines,
    "A-060" => a_new_order_is_created_and_located,
    "A-063" => an_order_is_ready_when_all_is_proved_and_invalid_when_anything_failed,
    "A-071" => what_is_of_one_account_is_closed_to_others,
    "A-073" => a_pending_authorization_says_when_to_look_again,
    "A-077" => a_deactivated_authorization_is_good_for_nothing,
    "A-083 D-02" => tokens_are_long_random_and_unique,
    "A-092" => urls_cannot_be_guessed,
}

fn refused_identifiers_are_listed_as_subproblems(world: &World) {
    let mut peer = world.account();
    let ask = |peer: &mut Peer<'_>, identifiers: Value| {
        peer.post(&world.url("newOrder"), &json!({"identifiers": identifiers}))
    };
    let good = json!({"type": "dns", "value": world.name("good")});
    // Two that the profile does not permit.
    let forbidden = [json!({"type": "ip", "value": "192.0.2.1"}), json!({"type": "ip", "value": "203.0.113.9"})];
    let answer = ask(&mut peer, json!([good, forbidden[0], forbidden[1]]));
    let problem = answer.refused();
    assert!(text(&problem["type"]).ends_with(":rejectedIdentifier"), "{problem}");
    let blamed: Vec<Value> = subproblems(&problem).iter().map(|one| one["identifier"].clone()).collect();
    assert_eq!(blamed, forbidden, "{problem}");
    // One of an unknown type.
    let odd = json!({"type": "email", "value": "a@example.test"});
    let problem = ask(&mut peer, json!([odd])).refused();
    assert!(text(&problem["type"]).ends_with(":unsupportedIdentifier"), "{problem}");
    // Different reasons: the one on top is compound, unless a specific one fits.
    let problem = ask(&mut peer, json!([odd, forbidden[0]])).refused();
    assert!(text(&problem["type"]).ends_with(":compound"), "{problem}");
    let kinds: Vec<String> = subproblems(&problem).iter().map(|one| text(&one["type"])).collect();
    let urn = |kind: &str| format!("urn:ietf:params:acme:error:{kind}");
    assert_eq!(kinds, [urn("unsupportedIdentifier"), urn("rejectedIdentifier")], "{problem}");
}

/// Each of which must say what it is about.
#[track_caller]
fn subproblems(problem: &Value) -> Vec<Value> {
    let list = problem["subproblems"].as_array().unwrap_or_else(|| panic!("no subproblems: {problem}"));
    for one in list {
        assert!(one["type"].is_string() && one["detail"].is_string(), "{problem}");
        assert!(one["identifier"]["type"].is_string() && one["identifier"]["value"].is_string(), "{problem}");
    }
    list.clone()
}

fn pre_authorization_is_offered_if_and_only_if_it_works(world: &World) {
    let mut peer = world.account();
    let url = &world.url("newAuthz");
    let name = world.name("pre");
    let identifier = json!({"identifier": {"type": "dns", "value": name}});
    let answer = peer.post(url, &identifier);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let (location, authorization) = (answer.location(), answer.json());
    assert_eq!(
        (&authorization["status"], &authorization["identifier"]),
        (&json!("pending"), &identifier["identifier"])
    );
    let challenge = challenge(&authorization, "http-01");
    let token = text(&challenge["token"]);
    world.http.offer(&token, peer.key_authorization(&token));
    peer.done(&text(&challenge["url"]), &json!({}));
    peer.poll(&location, &["valid"]);
    let order = peer.order(&[&name]);
    assert_eq!(texts(&order.object["authorizations"]), [location], "the order uses it");
    assert_eq!(order.object["status"], "ready");
    let wild = json!({"identifier": {"type": "dns", "value": format!("*.{name}")}});
    peer.post(url, &wild).refused();
    peer.post(url, &json!({})).problem(400, "malformed");
    peer.post(url, &json!({"identifier": {"type": "email", "value": "a@example.test"}}))
        .problem(400, "unsupportedIdentifier");
}

fn an_order_shows_what_its_state_demands(world: &World) {
    let mut peer = world.account();
    let names = [world.name("one"), world.name("two")];
    let order = peer.order(&[&names[0], &names[1]]);
    let pending = peer.read(&order.url);
    assert_eq!(pending, order.object, "created and read are the same");
    assert_eq!(pending["status"], "pending");
    assert_future(&pending["expires"]);
    let identifiers: Vec<Value> = names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
    assert_eq!(pending["identifiers"], json!(identifiers));
    assert_eq!(texts(&pending["authorizations"]).len(), 2);
    assert!(text(&pending["finalize"]).starts_with(world.base()));
    for absent in ["certificate", "error", "notBefore", "notAfter"] {
        assert!(pending.get(absent).is_none(), "{absent} in {pending}");
    }
    peer.prove(&order);
    let ready = peer.read(&order.url);
    assert_eq!(ready["status"], "ready");
    assert!(ready.get("certificate").is_none());
    let answer = peer.finalize(&order, &csr(&Key::p256(), &[&names[0], &names[1]]));
    let finalized = answer.ok();
    assert!(["processing", "valid"].iter().any(|status| finalized["status"] == *status), "{finalized}");
    let valid = peer.poll(&order.url, &["valid"]);
    assert_future(&valid["expires"]);
    assert!(text(&valid["certificate"]).starts_with(world.base()));
    assert!(valid.get("error").is_none());
}

/// RFC 3339, in UTC, later than now.
#[track_caller]
pub(crate) fn assert_future(time: &Value) {
    let time = text(time);
    assert!(time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "not RFC 3339: {time}");
    let digits: String = time.chars().take(19).filter(char::is_ascii_digit).collect();
    assert_eq!(digits.len(), 14, "{time}");
    let now = world_now();
    assert!(digits > now, "{time} is not after {now}");
}

/// Now, as fourteen digits.
fn world_now() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y%m%d%H%M%S"]).output().expect("date");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn identifiers_and_authorizations_of_an_order_never_change(world: &World) {
    let mut peer = world.account();
    // In the order in which they were sent, which is not the alphabet's.
    let names = [world.name("zulu"), world.name("alpha"), world.name("mike")];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let order = peer.order(&names);
    let fixed = |object: &Value| (object["identifiers"].clone(), object["authorizations"].clone());
    let first = fixed(&order.object);
    let sent: Vec<String> = first.0.as_array().expect("a list").iter().map(|one| text(&one["value"])).collect();
    assert_eq!(sent, names);
    let urls = texts(&order.object["authorizations"]);
    let mut covered: Vec<String> = urls.iter().map(|url| text(&peer.read(url)["identifier"]["value"])).collect();
    covered.sort();
    let mut sorted = sent.clone();
    sorted.sort();
    assert_eq!(covered, sorted);
    peer.prove(&order);
    assert_eq!(fixed(&peer.read(&order.url)), first);
    let key = Key::p256();
    assert_eq!(fixed(&peer.finalize(&order, &csr(&key, &names)).ok()), first);
    assert_eq!(fixed(&peer.poll(&order.url, &["valid"])), first);
    // A name that stands twice is echoed twice, or refused; never dropped.
    let name = world.name("twice");
    let answer = peer.ask(&[&name, &name], json!({}));
    match answer.status {
        201 => assert_eq!(answer.json()["identifiers"].as_array().map(Vec::len), Some(2)),
        _ => drop(answer.problem(400, "malformed")),
    }
}

fn a_wildcard_is_authorized_at_its_base_and_by_dns_only(world: &World) {
    let mut peer = world.account();
    let name = world.name("wild");
    let wild = format!("*.{name}");
    let order = peer.order(&[&wild, &name]);
    let values: Vec<String> =
        order.object["identifiers"].as_array().expect("a list").iter().map(|one| text(&one["value"])).collect();
    assert_eq!(values, [wild.as_str(), name.as_str()]);
    let authorizations: Vec<Value> = texts(&order.object["authorizations"]).iter().map(|url| peer.read(url)).collect();
    assert_eq!(authorizations.len(), 2, "one for each");
    for authorization in &authorizations {
        assert_eq!(authorization["identifier"], json!({"type": "dns", "value": name}));
    }
    let of_wild: Vec<&Value> = authorizations.iter().filter(|one| one["wildcard"] == true).collect();
    assert_eq!(of_wild.len(), 1, "{authorizations:?}");
    let types = |authorization: &Value| -> BTreeSet<String> {
        authorization["challenges"].as_array().expect("challenges").iter().map(|one| text(&one["type"])).collect()
    };
    assert!(types(of_wild[0]).iter().all(|kind| kind.starts_with("dns-")), "{:?}", types(of_wild[0]));
    assert!(types(of_wild[0]).contains("dns-01"));
    let plain = authorizations.iter().find(|one| one.get("wildcard").is_none()).expect("the other has no such member");
    for kind in ["http-01", "dns-01", "tls-alpn-01"] {
        assert!(types(plain).contains(kind), "{kind} for a plain name: {:?}", types(plain));
    }
    for bad in [format!("*.*.{name}"), format!("a*.{name}"), "*".into(), "*.".into(), format!("www.*.{name}")] {
        peer.ask(&[&bad], json!({})).refused();
    }
}

fn an_authorization_shows_its_challenges(world: &World) {
    let mut peer = world.account();
    let name = world.name("shows");
    let order = peer.order(&[&name]);
    let (url, authorization) = peer.authorization(&order);
    assert_eq!(authorization["identifier"], json!({"type": "dns", "value": name}));
    assert_eq!(authorization["status"], "pending");
    assert!(authorization.get("wildcard").is_none(), "only for wildcards: {authorization}");
    let challenges = authorization["challenges"].as_array().expect("challenges");
    assert!(!challenges.is_empty());
    for one in challenges {
        assert!(text(&one["url"]).starts_with(world.base()));
        assert_eq!(one["status"], "pending");
        for absent in ["validated", "error"] {
            assert!(one.get(absent).is_none(), "{absent} in {one}");
        }
        let read = peer.fetch(&text(&one["url"]));
        assert_eq!(read.ok(), *one, "a challenge is the same read alone");
        assert_eq!(read.links("up"), [url.as_str()]);
        if one["type"] != "dns-persist-01" {
            assert!(!text(&one["token"]).is_empty());
        }
    }
    peer.prove(&order);
    let valid = peer.read(&url);
    assert_eq!(valid["status"], "valid");
    assert_future(&valid["expires"]);
    let proved = challenge(&valid, "http-01");
    assert_eq!(proved["status"], "valid");
    assert!(text(&proved["validated"]).ends_with('Z'));
    assert!(proved.get("error").is_none());
}

fn names_that_are_no_a_labels_are_refused(world: &World) {
    let mut peer = world.account();
    let long = "a".repeat(64);
    let bad = [
        "bücher.example.test",
        "例え.example.test",
        "xn--.example.test",
        "xn--a.example.test",
        "a_b.example.test",
        "-a.example.test",
        "a-.example.test",
        "a..example.test",
        ".example.test",
        "",
        ".",
        "a.example.test.",
        " a.example.test",
        "a.example.test\n",
        "a\u{0}.example.test",
        "192.0.2.1",
        "a.example.test:80",
        "http://a.example.test/",
        &format!("{long}.example.test"),
        &format!("{}test", "a.".repeat(126)),
        "exa mple.test",
        "a.example.test/",
        "user@a.example.test",
        "a.example.123",
    ];
    for name in bad {
        let problem = peer.ask(&[name], json!({})).refused();
        let kinds = ["malformed", "rejectedIdentifier", "unsupportedIdentifier"];
        assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{name:?}: {problem}");
    }
    let idn = format!("xn--bcher-kva.{}", world.name("idn"));
    assert_eq!(peer.order(&[&idn]).object["identifiers"][0]["value"], idn);
    // Upper case is refused or echoed; never altered silently (RFC 8555 section 7.1.3).
    let answer = peer.ask(&[&world.name("case").to_uppercase()], json!({}));
    if answer.status == 201 {
        let value = text(&answer.json()["identifiers"][0]["value"]);
        assert!(value.chars().all(|letter| !letter.is_ascii_lowercase()) || value == value.to_lowercase(), "{value}");
    } else {
        answer.refused();
    }
}

/// What may follow on what (RFC 8555 section 7.1.6); a state may be passed unseen.
const CHALLENGE: &[(&str, &[&str])] =
    &[("pending", &["processing", "valid", "invalid"]), ("processing", &["valid", "invalid"])];
const AUTHORIZATION: &[(&str, &[&str])] =
    &[("pending", &["valid", "invalid"]), ("valid", &["expired", "deactivated", "revoked"])];
const ORDER: &[(&str, &[&str])] = &[
    ("pending", &["ready", "invalid"]),
    ("ready", &["processing", "valid", "invalid"]),
    ("processing", &["valid", "invalid"]),
];

/// Remembers the states of one object, and judges them.
struct Seen<'m> {
    machine: &'m [(&'m str, &'m [&'m str])],
    states: Vec<String>,
}

impl<'m> Seen<'m> {
    fn new(machine: &'m [(&'m str, &'m [&'m str])]) -> Self {
        Self { machine, states: Vec::new() }
    }

    #[track_caller]
    fn note(&mut self, object: &Value) {
        let state = text(&object["status"]);
        match self.states.last() {
            Some(last) if *last == state => return,
            Some(last) => {
                let next = self.machine.iter().find(|(from, _)| from == last).map(|(_, to)| *to).unwrap_or_default();
                assert!(next.contains(&state.as_str()), "from {last} to {state}: {object}");
            }
            None => assert_eq!(state, "pending", "{object}"),
        }
        self.states.push(state);
    }
}

fn every_transition_is_one_of_the_state_machines(world: &World) {
    for (reply, end) in [(true, "valid"), (false, "invalid")] {
        let mut peer = world.account();
        let name = world.name("states");
        let order = peer.order(&[&name]);
        let (url, authorization) = peer.authorization(&order);
        let one = challenge(&authorization, "http-01");
        let (token, challenge_url) = (text(&one["token"]), text(&one["url"]));
        let body = if reply { peer.key_authorization(&token) } else { "wrong".into() };
        world.http.behave(&token, move |_| Reply::body(body.clone()).after(Duration::from_millis(300)));
        let (mut of_order, mut of_authorization, mut of_challenge) =
            (Seen::new(ORDER), Seen::new(AUTHORIZATION), Seen::new(CHALLENGE));
        of_order.note(&order.object);
        of_authorization.note(&authorization);
        of_challenge.note(&one);
        of_challenge.note(&peer.done(&challenge_url, &json!({})));
        while of_order.states.len() < 2 {
            of_challenge.note(&peer.read(&challenge_url));
            of_authorization.note(&peer.read(&url));
            of_order.note(&peer.read(&order.url));
        }
        of_challenge.note(&peer.read(&challenge_url));
        of_authorization.note(&peer.read(&url));
        assert_eq!(of_challenge.states, ["pending", "processing", end], "processing is seen");
        assert_eq!(of_authorization.states, ["pending", end]);
        if !reply {
            assert_eq!(of_order.states, ["pending", "invalid"]);
            continue;
        }
        of_order.note(&peer.finalize(&order, &csr(&Key::p256(), &[&name])).ok());
        while of_order.states.last().is_none_or(|state| state != "valid") {
            of_order.note(&peer.read(&order.url));
        }
        // What is over stays over.
        peer.done(&url, &json!({"status": "deactivated"}));
        of_authorization.note(&peer.read(&url));
        of_order.note(&peer.read(&order.url));
        peer.post(&url, &json!({"status": "pending"}));
        peer.post(&challenge_url, &json!({}));
        of_authorization.note(&peer.read(&url));
        assert_eq!(of_authorization.states, ["pending", "valid", "deactivated"]);
    }
}

fn a_new_order_is_created_and_located(world: &World) {
    let mut peer = world.account();
    let name = world.name("created");
    let answer = peer.ask(&[&name], json!({}));
    assert_eq!(answer.status, 201);
    assert!(answer.location().starts_with(world.base()));
    assert_eq!(peer.fetch(&answer.location()).ok(), answer.json());
    let url = world.url("newOrder");
    let wrong = [
        json!({}),
        json!({"identifiers": []}),
        json!({"identifiers": null}),
        json!({"identifiers": {"type": "dns", "value": name}}),
        json!({"identifiers": [name]}),
        json!({"identifiers": [{"type": "dns"}]}),
        json!({"identifiers": [{"value": name}]}),
        json!({"identifiers": [{"type": "dns", "value": 7}]}),
        json!({"identifiers": [{"type": 7, "value": name}]}),
        json!({"identifiers": [[["dns", name]]]}),
        json!([]),
    ];
    for payload in wrong {
        peer.post(&url, &payload).problem(400, "malformed");
    }
    peer.draft(&url, "").send().problem(400, "malformed");
    peer.draft(&url, "{").send().problem(400, "malformed");
}

fn an_order_is_ready_when_all_is_proved_and_invalid_when_anything_failed(world: &World) {
    let mut peer = world.account();
    let names = [world.name("a"), world.name("b")];
    let order = peer.order(&[&names[0], &names[1]]);
    let urls = texts(&order.object["authorizations"]);
    let respond = |peer: &mut Peer<'_>, url: &str, right: bool| {
        let authorization = peer.read(url);
        let one = challenge(&authorization, "http-01");
        let token = text(&one["token"]);
        let body = if right { peer.key_authorization(&token) } else { "wrong".into() };
        world.http.offer(&token, body);
        peer.done(&text(&one["url"]), &json!({}));
    };
    respond(&mut peer, &urls[0], true);
    peer.poll(&urls[0], &["valid"]);
    assert_eq!(peer.read(&order.url)["status"], "pending", "one of two is not enough");
    respond(&mut peer, &urls[1], true);
    peer.poll(&urls[1], &["valid"]);
    assert_eq!(peer.read(&order.url)["status"], "ready");
    let order = peer.order(&[&world.name("c"), &world.name("d")]);
    let urls = texts(&order.object["authorizations"]);
    respond(&mut peer, &urls[1], false);
    let invalid = peer.poll(&order.url, &["invalid"]);
    assert!(text(&invalid["error"]["type"]).starts_with("urn:ietf:params:acme:error:"), "{invalid}");
    assert!(invalid["error"]["detail"].is_string());
    peer.finalize(&order, &csr(&Key::p256(), &["c.example.test"])).problem(403, "orderNotReady");
}

fn what_is_of_one_account_is_closed_to_others(world: &World) {
    let (mut peer, mut other) = (world.account(), world.account());
    let issued = peer.issue(&[&world.name("closed")]);
    let name = world.name("closed");
    let order: Order = peer.order(&[&name]);
    let (url, authorization) = peer.authorization(&order);
    let one = text(&challenge(&authorization, "http-01")["url"]);
    for url in [&issued.certificate, &issued.order, &order.url, &url, &one, &peer.kid()] {
        other.fetch(url).problem(403, "unauthorized");
    }
    other.post(&one, &json!({})).problem(403, "unauthorized");
    other.post(&url, &json!({"status": "deactivated"})).problem(403, "unauthorized");
    other.finalize(&order, &csr(&Key::p256(), &[&name])).problem(403, "unauthorized");
    assert_eq!(peer.read(&url)["status"], "pending");
}

fn a_pending_authorization_says_when_to_look_again(world: &World) {
    let mut peer = world.account();
    let order = peer.order(&[&world.name("later")]);
    let (url, _) = peer.authorization(&order);
    for url in [&url, &order.url] {
        let answer = peer.fetch(url);
        let seconds: u64 = answer.header("retry-after").and_then(|after| after.parse().ok()).expect("Retry-After");
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
}

fn a_deactivated_authorization_is_good_for_nothing(world: &World) {
    let mut peer = world.account();
    let name = world.name("given-up");
    let order = peer.order(&[&name]);
    let (url, _) = peer.authorization(&order);
    peer.prove(&order);
    peer.post(&url, &json!({"status": "valid"})).refused();
    world.account().post(&url, &json!({"status": "deactivated"})).problem(403, "unauthorized");
    assert_eq!(peer.read(&url)["status"], "valid");
    assert_eq!(peer.done(&url, &json!({"status": "deactivated"}))["status"], "deactivated");
    peer.finalize(&order, &csr(&Key::p256(), &[&name])).problem(403, "orderNotReady");
    assert_eq!(peer.read(&order.url)["status"], "invalid");
    let next = peer.order(&[&name]);
    assert_eq!(next.object["status"], "pending", "it is not used again");
    assert_ne!(texts(&next.object["authorizations"]), [url]);
    // A pending one, too.
    let (url, authorization) = peer.authorization(&next);
    assert_eq!(peer.done(&url, &json!({"status": "deactivated"}))["status"], "deactivated");
    let one = challenge(&authorization, "http-01");
    world.http.offer(&text(&one["token"]), peer.key_authorization(&text(&one["token"])));
    peer.post(&text(&one["url"]), &json!({}));
    assert_eq!(peer.read(&url)["status"], "deactivated");
    assert!(world.http.asked(&text(&one["token"])).is_empty(), "nothing was validated");
}

fn tokens_are_long_random_and_unique(world: &World) {
    let mut peer = world.account();
    let mut tokens: Vec<Vec<u8>> = Vec::new();
    for _ in 0..20 {
        let order = peer.order(&[&world.name("token")]);
        let (_, authorization) = peer.authorization(&order);
        let challenges = authorization["challenges"].as_array().expect("challenges");
        let with_token = challenges.iter().filter(|one| one["type"] != "dns-persist-01");
        // Challenges of one authorization may share a token.
        let own: BTreeSet<Vec<u8>> =
            with_token.map(|one| decode(&text(&one["token"])).expect("base64url without padding")).collect();
        tokens.extend(own);
    }
    for (at, token) in tokens.iter().enumerate() {
        assert!(token.len() >= 16, "128 bits");
        for other in &tokens[..at] {
            let differing = token.iter().zip(other).filter(|(one, other)| one != other).count();
            assert!(differing >= 10, "{token:?} and {other:?}");
        }
    }
}

fn urls_cannot_be_guessed(world: &World) {
    let mut peer = world.account();
    let mut kinds: [Vec<String>; 4] = Default::default();
    for _ in 0..8 {
        let order = peer.order(&[&world.name("guess")]);
        let (url, authorization) = peer.authorization(&order);
        kinds[0].push(order.url);
        kinds[1].push(url);
        kinds[2].push(text(&challenge(&authorization, "http-01")["url"]));
        kinds[3].push(world.account().kid());
    }
    for urls in &kinds {
        for pair in urls.windows(2) {
            assert_eq!(pair[0].len(), pair[1].len());
            let differing = pair[0].bytes().zip(pair[1].bytes()).filter(|(one, other)| one != other).count();
            // 128 random bits in hexadecimal digits or base64url differ in 20 places and more.
            assert!(differing >= 14, "{pair:?}");
        }
        let distinct: BTreeSet<String> = urls.iter().map(|url| encode(sha256(url.as_bytes()))).collect();
        assert_eq!(distinct.len(), urls.len());
    }
}
