//! How resources are reached: HTTPS, methods, headers, the directory (RFC 8555 sections 5, 6.1, 6.3, 7.1).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::peer::{self, JOSE, Judged, Order, Peer, challenge, text, texts};
use crate::world::{TERMS, WEBSITE, World};

crate::checks! {
    "A-001" => requests_that_are_not_utf8_are_refused,
    "A-002" => the_api_is_not_served_without_tls,
    "A-003" => pages_of_other_origins_may_read_answers,
    "A-005" => a_request_without_user_agent_is_served,
    "A-018" => other_content_types_get_415,
    "A-019 A-095" => other_methods_get_405_and_a_list,
    "A-021 A-045" => nonces_and_the_directory_are_had_by_get,
    "A-029" => errors_are_problem_documents,
    "A-032" => the_directory_leads_everywhere,
    "A-033" => everything_links_to_the_directory,
    "A-034" => a_challenge_links_to_its_authorization,
    "A-036" => the_directory_tells_terms_and_site,
    "A-096" => unknown_members_are_ignored,
}

fn requests_that_are_not_utf8_are_refused(world: &World) {
    let mut peer = world.account();
    let order = world.url("newOrder");
    let mut payload = json!({"identifiers": [{"type": "dns", "value": "X.example.test"}]}).to_string().into_bytes();
    let at = payload.iter().position(|octet| *octet == b'X').expect("the mark");
    payload[at] = 0xe9;
    peer.draft(&order, &payload).send().problem(400, "malformed");
    // In members that nobody reads, of requests that are right otherwise.
    let right = || json!({"identifiers": [{"type": "dns", "value": world.name("utf8")}]}).to_string();
    let in_payload = [b"{\"x\":\"\xff\",".as_slice(), &right().as_bytes()[1..]].concat();
    peer.draft(&order, in_payload).send().problem(400, "malformed");
    let in_header = |text: String| [b"{\"x\":\"\xff\",".as_slice(), &text.as_bytes()[1..]].concat();
    peer.draft(&order, right()).with_header_text(in_header).problem(400, "malformed");
    let in_body = |jws: Value| [b"{\"x\":\"\xff\",".as_slice(), &jws.to_string().as_bytes()[1..]].concat();
    peer.draft(&order, right()).altered(in_body).problem(400, "malformed");
    let name = world.name("utf8");
    let ideal = json!({"identifiers": [{"type": "dns", "value": name}], "déjà": "vu – ünïcode 日本"});
    assert_eq!(peer.post(&order, &ideal).status, 201, "UTF-8 that is right is accepted");
}

fn the_api_is_not_served_without_tls(world: &World) {
    let plain = world.rig.environment.get("SIGNET_PKI_URL").strip_prefix("http://").expect("an http URL").to_owned();
    for (authority, path) in [
        (plain.as_str(), "/directory"),
        (&plain, "/acme/directory"),
        (&plain, &world.path(&world.url("newNonce"))),
        (world.authority(), "/directory"),
    ] {
        let mut stream = TcpStream::connect(authority).expect("a listener");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        // On the TLS port the connection may be reset before all is said.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("HTTP/1.1 2") && !answer.contains("newNonce"), "{authority}{path}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("replay-nonce"), "{authority}{path}: {answer}");
    }
    assert!(world.url("newOrder").starts_with("https://"));
}

fn pages_of_other_origins_may_read_answers(world: &World) {
    let mut peer = world.account();
    let origin = "Origin: https://page.example.test\r\n";
    for url in ["newNonce", "renewalInfo"].map(|member| world.directory[member].as_str().map(str::to_owned)) {
        let Some(url) = url else { continue };
        let answer = peer.with_headers("GET", &url, origin, &[]);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{url}");
    }
    let answer = peer.order(&[&world.name("cors")]);
    let answer = peer.fetch(&answer.url);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
    for header in ["replay-nonce", "location", "link", "retry-after"] {
        assert!(exposed.contains(header), "{exposed}");
    }
    let question =
        format!("{origin}Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n");
    let answer = peer.with_headers("OPTIONS", &world.url("newOrder"), &question, &[]);
    assert!(answer.status < 300, "{}", answer.status);
    assert!(answer.header("access-control-allow-methods").unwrap_or_default().contains("POST"));
    assert!(answer.header("access-control-allow-headers").unwrap_or_default().eq_ignore_ascii_case("content-type"));
}

fn a_request_without_user_agent_is_served(world: &World) {
    let mut peer = world.stranger();
    assert_eq!(peer.plain("GET", &format!("{}/directory", world.base())).status, 200);
    peer.register(json!({}));
}

fn other_content_types_get_415(world: &World) {
    let mut peer = world.account();
    let order = world.url("newOrder");
    let payload = json!({"identifiers": [{"type": "dns", "value": world.name("type")}]}).to_string();
    for headers in
        ["", "Content-Type: application/json\r\n", "Content-Type: text/plain\r\n", "Content-Type: application/jose\r\n"]
    {
        peer.draft(&order, &payload).headers(headers).send().problem(415, "malformed");
    }
    let list = text(&peer.read(&peer.kid())["orders"]);
    assert_eq!(texts(&peer.read(&list)["orders"]), Vec::<String>::new(), "nothing was ordered");
    let right = format!("Content-Type: {JOSE}\r\n");
    assert_eq!(peer.draft(&order, &payload).headers(&right).send().status, 201);
}

/// One URL of each kind of resource that wants a POST.
fn resources(world: &World, peer: &mut Peer<'_>) -> Vec<(&'static str, String)> {
    let issued = peer.issue(&[&world.name("resources")]);
    let order: Order = peer.order(&[&world.name("resources")]);
    let (authorization, object) = peer.authorization(&order);
    let account = peer.read(&peer.kid());
    let mut all: Vec<(&str, String)> = vec![
        ("account", peer.kid()),
        ("orders", text(&account["orders"])),
        ("order", order.url),
        ("finalize", text(&order.object["finalize"])),
        ("authorization", authorization),
        ("challenge", text(&challenge(&object, "http-01")["url"])),
        ("certificate", issued.certificate),
    ];
    for member in ["newAccount", "newOrder", "newAuthz", "revokeCert", "keyChange"] {
        if let Some(url) = world.directory[member].as_str() {
            all.push((member, url.to_owned()));
        }
    }
    all
}

fn other_methods_get_405_and_a_list(world: &World) {
    let mut peer = world.account();
    for (what, url) in resources(world, &mut peer) {
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let answer = peer.plain(method, &url);
            answer.problem(405, "malformed");
            assert_eq!(answer.header("allow"), Some("POST"), "{method} {what}");
        }
        let answer = peer.plain("HEAD", &url);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "HEAD {what}");
    }
    for url in [format!("{}/directory", world.base()), world.url("newNonce")] {
        let answer = peer.draft(&url, "").send();
        answer.problem(405, "malformed");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{url}");
    }
}

fn nonces_and_the_directory_are_had_by_get(world: &World) {
    let mut peer = world.stranger();
    let url = world.url("newNonce");
    for (method, status) in [("HEAD", 200), ("GET", 204)] {
        let answer = peer.plain(method, &url);
        assert_eq!(answer.status, status, "{method}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{method}");
        let nonce = answer.header("replay-nonce").expect("a nonce").to_owned();
        let known = peer.draft(&world.url("newAccount"), r#"{"onlyReturnExisting":true}"#).with("nonce", nonce).send();
        known.problem(400, "accountDoesNotExist");
    }
    let answer = peer.plain("GET", &format!("{}/directory", world.base()));
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
}

fn errors_are_problem_documents(world: &World) {
    let mut peer = world.account();
    let url = world.url("newOrder");
    // `problem` looks at media type, type, detail and status of each.
    peer.post(&url, &json!({})).problem(400, "malformed");
    peer.draft(&url, "{}").without("nonce").send().problem(400, "badNonce");
    peer.draft(&url, "{}").with("alg", "none").send().problem(400, "badSignatureAlgorithm");
    peer.draft(&url, "{}").with("url", "https://elsewhere.example.test/").send().problem(403, "unauthorized");
    peer.fetch(&format!("{}/acme/order/nothing", world.base())).problem(404, "malformed");
    peer.fetch(&format!("{}/acme/nothing", world.base())).problem(404, "malformed");
    peer.plain("DELETE", &url).problem(405, "malformed");
}

fn the_directory_leads_everywhere(world: &World) {
    for member in ["newNonce", "newAccount", "newOrder", "revokeCert", "keyChange"] {
        let url = world.url(member);
        assert!(url.starts_with(&format!("{}/", world.base())), "{member}: {url}");
        let answer = world.stranger().plain("OPTIONS", &url);
        assert_ne!(answer.status, 404, "{member} leads nowhere");
    }
    let mut peer = world.stranger();
    let account = peer.register(json!({}));
    let orders = text(&account["orders"]);
    let order = peer.order(&[&world.name("directory")]);
    assert_eq!(texts(&peer.read(&orders)["orders"]), [order.url]);
}

fn everything_links_to_the_directory(world: &World) {
    let mut peer = world.account();
    let directory = peer.plain("GET", &format!("{}/directory", world.base()));
    assert!(directory.links("index").is_empty(), "the directory does not link to itself");
    for (what, url) in resources(world, &mut peer) {
        // Most of the requests are wrong, which must make no difference.
        for answer in [peer.fetch(&url), peer.plain("GET", &url)] {
            let links = answer.links("index");
            assert_eq!(links.len(), 1, "{what}: {links:?}");
            let linked = peer.plain("GET", &links[0]).ok();
            assert_eq!(linked["newOrder"], world.directory["newOrder"], "{what}");
        }
    }
    let nonce = peer.plain("HEAD", &world.url("newNonce"));
    assert_eq!(nonce.links("index").len(), 1);
}

fn a_challenge_links_to_its_authorization(world: &World) {
    let mut peer = world.account();
    let order = peer.order(&[&world.name("up")]);
    let (url, authorization) = peer.authorization(&order);
    for challenge in authorization["challenges"].as_array().expect("challenges") {
        assert_eq!(peer.fetch(&text(&challenge["url"])).links("up"), [url.as_str()]);
    }
    // A chain holds the issuer's certificate; where else it is, the certificate says itself. If there
    // is a link, it leads there.
    let issued = peer.issue(&[&world.name("up")]);
    let issuer = peer::certificate(world.rig.environment.get("SIGNET_ISSUER_FILE"));
    assert_eq!(peer::chain(issued.pem.as_bytes())[1], issuer);
    for up in peer.fetch(&issued.certificate).links("up") {
        assert_eq!(peer.plain("GET", &up).body, issuer.to_vec(), "{up}");
    }
}

fn the_directory_tells_terms_and_site(world: &World) {
    let meta = &world.directory["meta"];
    assert_eq!(meta["termsOfService"], TERMS);
    assert_eq!(meta["website"], WEBSITE);
    assert_eq!(meta["externalAccountRequired"], false);
    assert_eq!(meta["caaIdentities"], json!(["ca.example.test"]));
}

fn unknown_members_are_ignored(world: &World) {
    let odd = json!({"unknown": [1, {"deep": null}]});
    let mut peer = world.stranger();
    peer.register(odd.clone());
    let answer = peer.ask(&[&world.name("odd")], odd.clone());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let order = Order { url: answer.location(), object: answer.json() };
    let (url, authorization) = peer.authorization(&order);
    let challenge = challenge(&authorization, "http-01");
    let token = text(&challenge["token"]);
    world.http.offer(&token, peer.key_authorization(&token));
    peer.done(&text(&challenge["url"]), &odd);
    peer.poll(&url, &["valid"]);
    let key = crate::jose::Key::p256();
    let name = text(&order.object["identifiers"][0]["value"]);
    let der = crate::der::csr(&key, &[&name]);
    let payload = json!({"csr": crate::jose::encode(der), "unknown": {"a": 1}});
    peer.done(&text(&order.object["finalize"]), &payload);
    let issued = peer.download(order, key);
    assert_eq!(peer.revoke(&issued.leaf, odd.clone()).status, 200);
    peer.done(&peer.kid(), &odd);
    // In the header and around it, too.
    let draft = peer.draft(&peer.kid.clone().expect("an account"), "").with("typ", "JWT");
    draft
        .altered(|mut jws| {
            jws["unknown"] = json!({});
            jws.to_string().into_bytes()
        })
        .ok();
}
