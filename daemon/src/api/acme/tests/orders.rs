//! Orders, authorizations and challenges beyond the plain case: names of every kind, every challenge,
//! reuse, chains.

use http::StatusCode;
use policy::effects::UnixTime;
use policy::evidence::Method;
use policy::name::Name;
use policy::tbs::Certificate;
use serde_json::{Value, json};

use super::client::Client;
use crate::config::Switch;
use crate::issuance::testing::NOW;
use crate::service::acme::testing::{World, csr};

pub(super) fn dns(value: &str) -> Value {
    json!({"type": "dns", "value": value})
}

fn ip(value: &str) -> Value {
    json!({"type": "ip", "value": value})
}

pub(super) fn time(at: UnixTime) -> String {
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_secs(at.0)).to_string()
}

/// The types of the challenges of an authorization.
fn types(authorization: &Value) -> Vec<&str> {
    authorization["challenges"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect()
}

impl Client {
    pub(super) async fn order_of(&self, body: Value) -> Value {
        let answer = self.post("/acme/new-order", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let mut order = answer.json();
        order["url"] = answer.header("location").into();
        order
    }

    /// The authorization of an order, by its place.
    async fn authorization(&self, order: &Value, place: usize) -> Value {
        self.read(order["authorizations"][place].as_str().unwrap()).await.json()
    }

    /// Shows control with dns-01.
    async fn authorize_by_dns(&self, world: &World, url: &str) {
        let authorization = self.read(url).await.json();
        let challenges = authorization["challenges"].as_array().unwrap();
        let challenge = challenges.iter().find(|challenge| challenge["type"] == "dns-01").unwrap();
        let authorized = self.key_authorization(challenge["token"].as_str().unwrap());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, authorized.as_bytes());
        let name = authorization["identifier"]["value"].as_str().unwrap();
        world.web.put_txt(&format!("_acme-challenge.{name}"), &super::client::encode(digest.as_ref()));
        self.post(challenge["url"].as_str().unwrap(), json!({})).await;
        let settled = self.settled(url).await;
        assert_eq!(settled["status"], "valid", "{settled}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_challenge_is_offered_where_configuration_profile_and_identifier_allow_it() {
    let all = [Method::Http01, Method::Dns01, Method::TlsAlpn01, Method::DnsAccount01, Method::DnsPersist01];
    let world = World::with(|acme| acme.orders.challenges = all.into()).await;
    // A profile that takes every challenge, beside those that do not.
    let world = world
        .reassemble(|services| {
            let methods =
                "methods = [\"http-01\", \"dns-01\", \"tls-alpn-01\", \"dns-account-01\", \"dns-persist-01\"]";
            let text = include_str!("../../../../../packaging/profiles/server.toml").replace(
                "methods = [\"http-01\", \"dns-01\", \"tls-alpn-01\", \"administrator\", \"console\"]",
                methods,
            );
            let profile = policy::profile::Profile::from_toml("all.toml", &text).unwrap();
            let mut profiles = (*services.profiles.now()).clone();
            profiles.insert("all".into(), profile.into());
            services.profiles.replace(profiles);
            services.acme.profiles.push("all".into());
        })
        .await;
    let client = Client::new(&world).await;
    let identifiers = json!([dns("a.example.test"), dns("*.a.example.test"), ip("10.0.0.1"), ip("fd00::1")]);
    let order = client.order_of(json!({"identifiers": identifiers, "profile": "all"})).await;
    assert_eq!(order["identifiers"], identifiers, "A-040: as they were sent");
    let host = client.authorization(&order, 0).await;
    assert_eq!(types(&host), ["http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"]);
    assert!(host.get("wildcard").is_none(), "A-042: {host}");
    let wildcard = client.authorization(&order, 1).await;
    assert_eq!(types(&wildcard), ["dns-01", "dns-account-01", "dns-persist-01"], "A-087");
    assert_eq!((&wildcard["identifier"], &wildcard["wildcard"]), (&dns("a.example.test"), &json!(true)), "A-041");
    for place in [2, 3] {
        assert_eq!(types(&client.authorization(&order, place).await), ["http-01", "tls-alpn-01"], "I-02");
    }
    // tokens of 128 bits or more, no two alike; dns-persist-01 has the issuer's names instead.
    let mut tokens = Vec::new();
    for challenge in host["challenges"].as_array().unwrap() {
        if challenge["type"] == "dns-persist-01" {
            assert!(challenge.get("token").is_none(), "{challenge}");
            assert_eq!(challenge["issuer-domain-names"], json!(["ca.example.test"]));
        } else {
            assert!(challenge.get("issuer-domain-names").is_none(), "{challenge}");
            let token = challenge["token"].as_str().unwrap().to_owned();
            assert_eq!(token.len(), 43, "{token}");
            tokens.push(token);
        }
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 4);
    // The profile `server` takes three of them.
    let order = client.order_of(json!({"identifiers": [dns("a.example.test")]})).await;
    assert_eq!(types(&client.authorization(&order, 0).await), ["http-01", "dns-01", "tls-alpn-01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_ordered_in_canonical_form_only() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    for value in
        ["10.0.0.01", "10.0.0.0/8", "10.0.0.1:80", "FD00::1", "fd00:0:0::1", "fe80::1%eth0", "[fd00::1]", "a", ""]
    {
        let answer = client.post("/acme/new-order", json!({"identifiers": [ip(value)]})).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, "malformed"), "I-01: {value}");
        let problem = answer.json()["subproblems"][0].clone();
        assert_eq!(problem["identifier"], ip(value));
    }
    // I-03: no wildcard of an address, and nobody's address of whom no profile knows.
    for (identifier, kind) in [(ip("*.10.0.0.1"), "malformed"), (ip("198.51.100.1"), "rejectedIdentifier")] {
        let answer = client.post("/acme/new-order", json!({"identifiers": [identifier]})).await;
        assert_eq!(answer.error(), kind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_shown_by_http_01_and_stands_in_the_certificate_as_an_address() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order_of(json!({"identifiers": [ip("127.0.0.1"), dns("a.example.test")]})).await;
    for url in order["authorizations"].as_array().unwrap() {
        client.authorize(&world, url.as_str().unwrap()).await;
    }
    let answer = client.finalize(order["url"].as_str().unwrap(), &csr(&["127.0.0.1", "a.example.test"])).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let der = client.certificate(answer.json()["certificate"].as_str().unwrap()).await;
    let names = Certificate::from_der(&der).unwrap().names().to_vec();
    assert!(names.contains(&Name::parse("127.0.0.1").unwrap()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_and_its_wildcard_stand_in_one_order_with_an_authorization_each() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let both = [dns("w.example.test"), dns("*.w.example.test")];
    let order = client.order_of(json!({"identifiers": both})).await;
    let urls: Vec<&str> = order["authorizations"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
    assert_ne!(urls[0], urls[1]);
    // both are shown by records of one name, which then has two.
    for url in &urls {
        client.authorize_by_dns(&world, url).await;
    }
    let names = ["w.example.test", "*.w.example.test"];
    let answer = client.finalize(order["url"].as_str().unwrap(), &csr(&names)).await;
    assert_eq!(answer.json()["status"], "valid", "{answer:?}");
    // What was shown for one of them serves for that one only.
    assert_eq!(client.order_of(json!({"identifiers": both})).await["status"], "ready");
    let stranger = Client::new(&world).await;
    let one = stranger.order_of(json!({"identifiers": [both[1]]})).await;
    stranger.authorize_by_dns(&world, one["authorizations"][0].as_str().unwrap()).await;
    assert_eq!(stranger.order_of(json!({"identifiers": [both[1]]})).await["status"], "ready");
    assert_eq!(stranger.order_of(json!({"identifiers": [both[0]]})).await["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authorization_that_is_decided_shows_the_challenge_that_decided_it() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test", "b.example.test"]).await.json();
    let (good, bad) = (order["authorizations"][0].as_str().unwrap(), order["authorizations"][1].as_str().unwrap());
    assert_eq!(types(&client.read(good).await.json()).len(), 3);
    client.authorize(&world, good).await;
    let shown = client.read(good).await.json();
    assert_eq!(types(&shown), ["http-01"]);
    assert_eq!(shown["challenges"][0]["validated"], time(NOW), "A-075");
    // Another challenge of an authorization that is valid leads nowhere.
    let other = client.post(&format!("{}/dns-01", good.replace("/authorization/", "/challenge/")), json!({})).await;
    assert_eq!((other.status, other.json()["status"].as_str()), (StatusCode::OK, Some("pending")));
    let challenge = client.http01(bad).await;
    client.post(challenge["url"].as_str().unwrap(), json!({})).await;
    let shown = client.settled(bad).await;
    assert_eq!((shown["status"].as_str(), types(&shown)), (Some("invalid"), vec!["http-01"]));
    assert!(shown["challenges"][0]["error"]["detail"].as_str().unwrap().contains("b.example.test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_found_under_each_of_its_urls_and_links_to_its_authorization() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test"]).await.json();
    let authorization = order["authorizations"][0].as_str().unwrap();
    let id = authorization.rsplit('/').next().unwrap();
    for path in [format!("/acme/challenge/{id}/http-01"), format!("/acme/chall/{id}.http-01")] {
        let answer = client.read(&path).await;
        assert_eq!((answer.status, answer.json()["type"].as_str()), (StatusCode::OK, Some("http-01")), "{path}");
        let links: Vec<_> = answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
        assert!(links.contains(&format!("<{authorization}>;rel=\"up\"").as_str()), "A-034: {links:?}");
    }
    for path in
        [format!("/acme/challenge/{id}/dns-77"), format!("/acme/chall/{id}"), format!("/acme/chall/{id}.console")]
    {
        let answer = client.read(&path).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::NOT_FOUND, "malformed"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_names_that_fail_make_one_compound_problem_with_a_subproblem_each() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test", "b.example.test", "c.example.test"]).await;
    let url = order.header("location").to_owned();
    let authorizations = order.json()["authorizations"].as_array().unwrap().clone();
    for (place, body) in [(0, Some("wrong")), (1, None)] {
        let authorization = authorizations[place].as_str().unwrap();
        let challenge = client.http01(authorization).await;
        let token = challenge["token"].as_str().unwrap();
        if let Some(body) = body {
            world.web.put(&format!("/.well-known/acme-challenge/{token}"), body);
        }
        client.post(challenge["url"].as_str().unwrap(), json!({})).await;
        assert_eq!(client.settled(authorization).await["status"], "invalid");
    }
    let order = client.read(&url).await.json();
    let error = &order["error"];
    assert_eq!((&order["status"], &error["type"]), (&json!("invalid"), &json!("urn:ietf:params:acme:error:compound")));
    assert!(error.get("identifier").is_none(), "A-031: {error}");
    let named: Vec<_> = error["subproblems"].as_array().unwrap().iter().map(|one| one["identifier"].clone()).collect();
    assert_eq!(named, [dns("a.example.test"), dns("b.example.test")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_reuse_each_order_asks_for_control_again() {
    let world = World::with(|acme| acme.orders.reuse_authorizations = Switch::Off).await;
    let client = Client::new(&world).await;
    client.issue(&world, &["a.example.test"]).await;
    assert_eq!(client.order(&["a.example.test"]).await.json()["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_authorized_in_advance_makes_the_order_ready() {
    let world = World::with(|acme| acme.orders.pre_authorization = Switch::On).await;
    let client = Client::new(&world).await;
    let directory = client.plain("GET", "/directory").await.json();
    assert!(directory["newAuthz"].as_str().unwrap().ends_with("/acme/new-authz"), "A-035");
    let answer = client.post("/acme/new-authz", json!({"identifier": dns("a.example.test")})).await;
    assert_eq!((answer.status, answer.json()["status"].as_str()), (StatusCode::CREATED, Some("pending")), "A-069");
    let url = answer.header("location").to_owned();
    client.authorize(&world, &url).await;
    let again = client.post("/acme/new-authz", json!({"identifier": dns("a.example.test")})).await;
    assert_eq!((again.status, again.header("location")), (StatusCode::OK, url.as_str()));
    let order = client.order(&["a.example.test"]).await.json();
    assert_eq!((&order["status"], &order["authorizations"]), (&json!("ready"), &json!([url])));
    for (identifier, kind) in [
        (dns("*.a.example.test"), "rejectedIdentifier"),
        (ip("198.51.100.1"), "rejectedIdentifier"),
        (json!({"type": "email", "value": "a@example.test"}), "unsupportedIdentifier"),
        (dns("A"), "malformed"),
    ] {
        let answer = client.post("/acme/new-authz", json!({"identifier": identifier})).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, kind), "{identifier}");
    }
    // Where it is not offered, there is no such thing.
    let world = World::new().await;
    let client = Client::new(&world).await;
    assert!(client.plain("GET", "/directory").await.json().get("newAuthz").is_none());
    let answer = client.post("/acme/new-authz", json!({"identifier": dns("a.example.test")})).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_shown_while_the_challenge_is_processing_and_a_post_tries_again_at_once() {
    let world = World::new().await.reassemble(|services| {
        services.validation.retry_after = std::time::Duration::from_secs(3600);
        // Nobody listens there yet.
        services.validation.http01_port = free_port();
    });
    let world = world.await;
    let client = Client::new(&world).await;
    let order = client.order(&["a.example.test"]).await.json();
    let authorization = order["authorizations"][0].as_str().unwrap();
    let challenge = client.http01(authorization).await;
    client.post(challenge["url"].as_str().unwrap(), json!({})).await;
    let shown = loop {
        let shown = client.read(challenge["url"].as_str().unwrap()).await;
        if shown.json().get("error").is_some() {
            break shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!(shown.json()["status"], "processing", "A-084");
    assert_eq!(shown.json()["error"]["type"], "urn:ietf:params:acme:error:connection");
    assert!(shown.header("retry-after").parse::<u32>().unwrap() > 0);
    // Each POST tries again without waiting for the hour; the last attempt decides.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while client.post(challenge["url"].as_str().unwrap(), json!({})).await.json()["status"] == "processing" {
        assert!(std::time::Instant::now() < deadline, "it waits for the hour");
    }
    assert_eq!(client.read(authorization).await.json()["status"], "invalid");
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_found_under_a_url_that_its_serial_number_does_not_lead_to() {
    let world = World::new().await;
    let client = Client::new(&world).await;
    let url = client.issue(&world, &["a.example.test"]).await;
    let der = client.certificate(&url).await;
    let serial: String =
        Certificate::from_der(&der).unwrap().serial().iter().map(|octet| format!("{octet:02x}")).collect();
    assert!(!url.contains(&serial), "A-092");
    assert_eq!(client.read(&format!("/acme/certificate/{serial}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.certificate(&url.replace("/certificate/", "/cert/")).await, der);
    let answer = client.read(&url).await;
    let links: Vec<_> = answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert!(!links.iter().any(|link| link.contains("\"up\"")), "A-034: the chain is in the answer: {links:?}");
    assert!(!links.iter().any(|link| link.contains("alternate")), "{links:?}");
    let path = url.strip_prefix("https://ca.test").unwrap();
    for (accept, status) in [
        ("application/pem-certificate-chain", 200),
        ("text/html, */*;q=0.1", 200),
        ("application/pkix-cert", 406),
        ("*/*;q=0", 406),
    ] {
        let answer = client.read_accepting(path, accept).await;
        assert_eq!(answer.status.as_u16(), status, "A-070: {accept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_chain_that_is_configured_has_a_link_to_it() {
    let world = World::new().await.reassemble(|services| {
        let other = Certificate::from_der(services.issuer.now().certificate()).unwrap().to_pem();
        services.alternate_chains.replace(vec![format!("{other}{other}")]);
    });
    let world = world.await;
    let client = Client::new(&world).await;
    let url = client.issue(&world, &["a.example.test"]).await;
    let link = |answer: &super::client::Answer| {
        let links = answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap().to_owned());
        links.filter_map(|link| Some(link.strip_suffix(">;rel=\"alternate\"")?[1..].to_owned())).collect::<Vec<_>>()
    };
    let default = client.read(&url).await;
    let [other] = &link(&default)[..] else { panic!("{default:?}") };
    let alternate = client.read(other).await;
    assert_eq!(link(&alternate), std::slice::from_ref(&url));
    let count = |answer: &super::client::Answer| String::from_utf8_lossy(&answer.body).matches("BEGIN").count();
    assert_eq!((count(&default), count(&alternate)), (2, 3));
    assert_eq!(client.read(&format!("{url}/7")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.read(&format!("{url}/x")).await.status, StatusCode::NOT_FOUND);
}
