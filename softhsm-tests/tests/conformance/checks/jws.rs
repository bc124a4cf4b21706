//! What is signed, and how (RFC 8555 sections 6.2 to 6.4).

use std::process::Command;

use serde_json::{Value, json};

use crate::jose::{Key, decode, encode, mac};
use crate::peer::{Judged, Peer, text, texts};
use crate::world::World;

crate::checks! {
    "A-004" => padding_is_refused_everywhere,
    "A-006" => nothing_happens_before_the_signature_is_verified,
    "A-007" => compact_and_general_serializations_are_refused,
    "A-008" => several_signatures_are_refused,
    "A-009" => an_unencoded_payload_is_refused,
    "A-010" => an_unprotected_header_is_refused,
    "A-011" => a_detached_payload_is_refused,
    "A-012" => a_protected_header_that_lacks_something_is_refused,
    "A-013" => none_and_macs_are_refused,
    "A-014" => accounts_have_keys_of_every_offered_kind,
    "A-015" => new_accounts_sign_with_jwk_and_others_with_kid,
    "A-016" => an_unknown_algorithm_is_answered_with_those_known,
    "A-017" => bad_keys_and_weak_keys_are_refused,
    "A-020" => a_post_as_get_is_empty_and_authenticated,
    "A-022" => a_request_for_another_url_is_unauthorized,
}

/// How many orders the account has.
fn orders(peer: &mut Peer<'_>) -> usize {
    let list = text(&peer.read(&peer.kid())["orders"]);
    texts(&peer.read(&list)["orders"]).len()
}

fn an_order(world: &World) -> String {
    json!({"identifiers": [{"type": "dns", "value": world.name("jws")}]}).to_string()
}

/// What is sent in place of a JWS that is right.
type Alter<'a> = &'a dyn Fn(Value) -> Vec<u8>;

/// Sends one wrong request after the other, each of which must be malformed and order nothing.
fn refused(world: &World, alterations: &[(&str, Alter<'_>)]) {
    let mut peer = world.account();
    let url = world.url("newOrder");
    for (what, alter) in alterations {
        let answer = peer.draft(&url, an_order(world)).altered(alter);
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        answer.problem(400, "malformed");
    }
    assert_eq!(orders(&mut peer), 0, "a refused request has no effect");
    assert_eq!(peer.draft(&url, an_order(world)).send().status, 201, "the same request unaltered is accepted");
}

fn edited(edit: impl Fn(&mut Value)) -> impl Fn(Value) -> Vec<u8> {
    move |mut jws| {
        edit(&mut jws);
        jws.to_string().into_bytes()
    }
}

fn padding_is_refused_everywhere(world: &World) {
    let mut peer = world.account();
    let url = world.url("newOrder");
    for member in ["protected", "payload", "signature"] {
        // Signed with the padding in place: only the padding is wrong.
        let (mut header, nonce) = (json!({"alg": "ES256", "url": url, "kid": peer.kid()}), peer.fresh_nonce());
        header["nonce"] = json!(nonce);
        let pad = |text: String, of: &str| if of == member { format!("{text}=") } else { text };
        let (protected, payload) =
            (pad(encode(header.to_string()), "protected"), pad(encode(an_order(world)), "payload"));
        let signature = peer.key.sign(format!("{protected}.{payload}").as_bytes());
        let body =
            json!({"protected": protected, "payload": payload, "signature": pad(encode(signature), "signature")});
        let answer =
            peer.with_headers("POST", &url, "Content-Type: application/jose+json\r\n", body.to_string().as_bytes());
        answer.problem(400, "malformed");
    }
    assert_eq!(orders(&mut peer), 0);
    let name = world.name("padding");
    let order = peer.order(&[&name]);
    peer.prove(&order);
    let key = Key::p256();
    let csr = encode(crate::der::csr(&key, &[&name]));
    let finalize = text(&order.object["finalize"]);
    for padded in [format!("{csr}="), format!("{csr}=="), csr.replace(['-', '_'], "+") + "/"] {
        let problem = peer.post(&finalize, &json!({"csr": padded})).refused();
        assert!(["malformed", "badCSR"].iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{problem}");
    }
    peer.done(&finalize, &json!({"csr": csr}));
    let issued = peer.download(order, key);
    let certificate = format!("{}=", encode(&issued.leaf));
    peer.post(&world.url("revokeCert"), &json!({"certificate": certificate})).problem(400, "malformed");
    assert_eq!(peer.revoke(&issued.leaf, json!({})).status, 200, "it was not revoked before");
}

fn nothing_happens_before_the_signature_is_verified(world: &World) {
    let (mut peer, other) = (world.account(), Key::p256());
    let url = world.url("newOrder");
    peer.draft(&url, an_order(world)).signed_by(&other).refused();
    let spoil = edited(|jws| {
        let mut signature = decode(&text(&jws["signature"])).expect("base64url");
        signature[20] ^= 1;
        jws["signature"] = json!(encode(signature));
    });
    peer.draft(&url, an_order(world)).altered(spoil).refused();
    let swap =
        edited(|jws| jws["payload"] = json!(encode(r#"{"identifiers":[{"type":"dns","value":"evil.example.test"}]}"#)));
    peer.draft(&url, an_order(world)).altered(swap).refused();
    peer.draft(&url, an_order(world)).altered(edited(|jws| jws["signature"] = json!(""))).refused();
    // ECDSA as X.509 writes it is not ECDSA as JWS writes it.
    let Key::P256 { .. } = &peer.key else { unreachable!("accounts of tests have P-256 keys") };
    let der = Key::p256();
    peer.draft(&url, an_order(world)).signed(|message| der.sign_der(message)).refused();
    assert_eq!(orders(&mut peer), 0, "nothing was ordered");
    let deactivate = json!({"status": "deactivated"}).to_string();
    peer.draft(&peer.kid(), deactivate).signed_by(&other).refused();
    assert_eq!(peer.read(&peer.kid())["status"], "valid");
    let mut stranger = world.stranger();
    let account = json!({"termsOfServiceAgreed": true}).to_string();
    stranger.draft(&world.url("newAccount"), account).signed_by(&other).refused();
    stranger.post(&world.url("newAccount"), &json!({"onlyReturnExisting": true})).problem(400, "accountDoesNotExist");
}

fn compact_and_general_serializations_are_refused(world: &World) {
    let compact =
        |jws: Value| ["protected", "payload", "signature"].map(|part| text(&jws[part])).join(".").into_bytes();
    let quoted = |jws: Value| serde_json::to_vec(&String::from_utf8(compact(jws)).expect("ASCII")).expect("JSON");
    let general = |jws: Value| {
        let one = json!({"protected": jws["protected"], "signature": jws["signature"]});
        json!({"payload": jws["payload"], "signatures": [one]}).to_string().into_bytes()
    };
    let list = |jws: Value| json!([jws]).to_string().into_bytes();
    refused(world, &[("compact", &compact), ("a text", &quoted), ("general", &general), ("a list", &list)]);
}

fn several_signatures_are_refused(world: &World) {
    let beside = edited(|jws| {
        let one = json!({"protected": jws["protected"], "signature": jws["signature"]});
        jws["signatures"] = json!([one]);
    });
    let empty = edited(|jws| jws["signatures"] = json!([]));
    let null = edited(|jws| jws["signatures"] = Value::Null);
    let twice =
        |jws: Value| jws.to_string().replacen('{', &format!("{{\"signature\":{},", jws["signature"]), 1).into_bytes();
    refused(world, &[("beside", &beside), ("empty", &empty), ("null", &null), ("twice", &twice)]);
}

fn an_unencoded_payload_is_refused(world: &World) {
    let mut peer = world.account();
    let url = world.url("newOrder");
    for crit in [Some(json!(["b64"])), None] {
        let payload = an_order(world);
        let mut draft = peer.draft(&url, &payload).with("b64", false);
        if let Some(crit) = crit {
            draft = draft.with("crit", crit);
        }
        // RFC 7797: the payload is signed and sent as it is.
        let answer = draft.altered(|mut jws| {
            jws["payload"] = json!(payload);
            jws.to_string().into_bytes()
        });
        answer.problem(400, "malformed");
        peer.draft(&url, an_order(world)).with("b64", false).send().problem(400, "malformed");
    }
    peer.draft(&url, an_order(world)).with("crit", json!(["exp"])).send().problem(400, "malformed");
    assert_eq!(orders(&mut peer), 0);
}

fn an_unprotected_header_is_refused(world: &World) {
    let some = edited(|jws| jws["header"] = json!({"kid": "x"}));
    let empty = edited(|jws| jws["header"] = json!({}));
    refused(world, &[("some", &some), ("empty", &empty)]);
}

fn a_detached_payload_is_refused(world: &World) {
    let missing = edited(|jws| drop(jws.as_object_mut().expect("an object").remove("payload")));
    let null = edited(|jws| jws["payload"] = Value::Null);
    refused(world, &[("missing", &missing), ("null", &null)]);
}

fn a_protected_header_that_lacks_something_is_refused(world: &World) {
    let mut peer = world.account();
    let url = world.url("newOrder");
    let draft = |peer: &mut Peer<'_>, spoil: &dyn Fn(crate::peer::Draft<'_, '_>) -> softhsm_tests::acme::Answer| {
        spoil(peer.draft(&url, an_order(world)))
    };
    let jwk = peer.key.jwk();
    draft(&mut peer, &|draft| draft.without("alg").send()).problem(400, "malformed");
    draft(&mut peer, &|draft| draft.without("url").send()).problem(400, "malformed");
    draft(&mut peer, &|draft| draft.without("nonce").send()).problem(400, "badNonce");
    draft(&mut peer, &|draft| draft.without("kid").send()).problem(400, "malformed");
    draft(&mut peer, &|draft| draft.with("jwk", jwk.clone()).send()).problem(400, "malformed");
    draft(&mut peer, &|draft| draft.with("kid", 7).send()).problem(400, "malformed");
    draft(&mut peer, &|draft| draft.with("kid", "").send()).refused();
    // Members that stand twice say two things (RFC 7515 section 4).
    let twice = |text: String| text.replacen('{', "{\"alg\":\"ES256\",", 1).into_bytes();
    peer.draft(&url, an_order(world)).with_header_text(twice).problem(400, "malformed");
    peer.draft(&url, an_order(world)).with_header_text(|_| b"[]".to_vec()).problem(400, "malformed");
    peer.draft(&url, an_order(world)).with_header_text(|_| Vec::new()).problem(400, "malformed");
    assert_eq!(orders(&mut peer), 0);
    let url = world.url("newAccount");
    let mut stranger = world.stranger();
    stranger.draft(&url, r#"{"termsOfServiceAgreed":true}"#).without("jwk").send().problem(400, "malformed");
}

fn none_and_macs_are_refused(world: &World) {
    let mut peer = world.account();
    let url = world.url("newOrder");
    for algorithm in ["none", "None", "HS256", "HS384", "HS512"] {
        peer.draft(&url, an_order(world))
            .with("alg", algorithm)
            .signed(|_| Vec::new())
            .problem(400, "badSignatureAlgorithm");
    }
    // The public key as the secret of a MAC is the classic mistake.
    let secrets = [peer.key.spki(), peer.key.jwk().to_string().into_bytes()];
    for secret in secrets {
        let signed =
            peer.draft(&url, an_order(world)).with("alg", "HS256").signed(|message| mac("HS256", &secret, message));
        signed.problem(400, "badSignatureAlgorithm");
    }
    assert_eq!(orders(&mut peer), 0);
    let mut stranger = world.stranger();
    let draft = stranger.draft(&world.url("newAccount"), r#"{"termsOfServiceAgreed":true}"#);
    let octets = json!({"kty": "oct", "k": encode("secret")});
    let answer = draft.with("alg", "HS256").with("jwk", octets).signed(|message| mac("HS256", b"secret", message));
    answer.problem(400, "badSignatureAlgorithm");
}

fn accounts_have_keys_of_every_offered_kind(world: &World) {
    for key in [Key::p256(), Key::p384(), Key::ed25519(), Key::rsa()] {
        let algorithm = key.algorithm();
        let mut peer = Peer::stranger(world, key);
        peer.register(json!({}));
        let order = peer.order(&[&world.name("algorithm")]);
        peer.prove(&order);
        assert_eq!(peer.read(&order.url)["status"], "ready", "{algorithm}");
        // The algorithm is the key's, not the header's.
        let other = if algorithm == "ES256" { "RS256" } else { "ES256" };
        peer.draft(&order.url, "").with("alg", other).send().refused();
    }
}

fn new_accounts_sign_with_jwk_and_others_with_kid(world: &World) {
    let mut peer = world.account();
    let account = json!({"termsOfServiceAgreed": true}).to_string();
    peer.draft(&world.url("newAccount"), &account).send().problem(400, "malformed");
    let (kid, jwk) = (peer.kid(), peer.key.jwk());
    let order = peer.order(&[&world.name("kid")]);
    for url in [world.url("newOrder"), kid.clone(), order.url.clone(), text(&order.object["finalize"])] {
        let draft = peer.draft(&url, an_order(world)).without("kid").with("jwk", jwk.clone());
        draft.send().problem(400, "malformed");
    }
    for wrong in [
        "",
        "x",
        "https://elsewhere.example.test/acme/account/1",
        &format!("{kid}x"),
        &format!("{}/acme/account/", world.base()),
    ] {
        let answer = peer.draft(&world.url("newOrder"), an_order(world)).with("kid", wrong).send();
        let problem = answer.refused();
        let kinds = ["accountDoesNotExist", "malformed", "unauthorized"];
        assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{problem}");
    }
    assert_eq!(orders(&mut peer), 1);
    // Somebody else's account, signed with one's own key.
    let mut other = world.account();
    other.draft(&world.url("newOrder"), an_order(world)).with("kid", kid).send().refused();
    assert_eq!(orders(&mut peer), 1);
}

fn an_unknown_algorithm_is_answered_with_those_known(world: &World) {
    for algorithm in ["ES256K", "PS999", "XX", "", "es256", "RSA-OAEP"] {
        let mut peer = world.stranger();
        let draft = peer.draft(&world.url("newAccount"), r#"{"termsOfServiceAgreed":true}"#).with("alg", algorithm);
        let problem = draft.send().problem(400, "badSignatureAlgorithm");
        let known = texts(&problem["algorithms"]);
        for expected in ["ES256", "RS256", "EdDSA"] {
            assert!(known.iter().any(|known| known == expected), "{known:?}");
        }
        assert!(!known.iter().any(|known| known.starts_with("HS") || known == "none"), "{known:?}");
    }
}

fn bad_keys_and_weak_keys_are_refused(world: &World) {
    let good = Key::p256().jwk();
    let with = |member: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[member] = value;
        jwk
    };
    let bad = [
        ("a point that is not on the curve", "ES256", with("y", good["x"].clone())),
        ("a coordinate that is short", "ES256", with("x", json!(encode([1; 31])))),
        ("a coordinate that is long", "ES256", with("x", json!(encode([1; 33])))),
        (
            "the point at infinity",
            "ES256",
            json!({"kty": "EC", "crv": "P-256", "x": encode([0; 32]), "y": encode([0; 32])}),
        ),
        ("another curve", "ES256", with("crv", json!("secp256k1"))),
        ("another type", "ES256", with("kty", json!("oct"))),
        ("a private key", "ES256", with("d", json!(encode([1; 32])))),
        ("an RSA key of no length", "RS256", json!({"kty": "RSA", "n": "", "e": "AQAB"})),
        ("an even RSA modulus", "RS256", json!({"kty": "RSA", "n": encode([0xfe; 256]), "e": "AQAB"})),
        ("an RSA modulus of small primes", "RS256", json!({"kty": "RSA", "n": encode([0xff; 256]), "e": "AQAB"})),
        ("an RSA exponent of one", "RS256", json!({"kty": "RSA", "n": Key::rsa().jwk()["n"], "e": "AQ"})),
        ("an Ed25519 key that is short", "EdDSA", json!({"kty": "OKP", "crv": "Ed25519", "x": encode([1; 31])})),
    ];
    for (what, algorithm, jwk) in bad {
        let mut peer = world.stranger();
        let draft = peer.draft(&world.url("newAccount"), r#"{"termsOfServiceAgreed":true}"#);
        let answer = draft.with("alg", algorithm).with("jwk", jwk).send();
        let problem = answer.refused();
        assert_eq!(text(&problem["type"]), "urn:ietf:params:acme:error:badPublicKey", "{what}: {problem}");
        assert!(text(&problem["detail"]).len() > 20, "the detail says why: {problem}");
    }
    // 1024 bits, with a signature that is right.
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.pem");
    let openssl = |arguments: &[&str], input: Option<&[u8]>| {
        let file = folder.path().join("input");
        std::fs::write(&file, input.unwrap_or_default()).expect("a file");
        let mut command = Command::new("openssl");
        command.args(arguments);
        if input.is_some() {
            command.arg(&file);
        }
        let output = command.output().expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let key = key.display().to_string();
    openssl(&["genrsa", "-out", &key, "1024"], None);
    let modulus = String::from_utf8(openssl(&["rsa", "-in", &key, "-noout", "-modulus"], None)).expect("text");
    let hex = modulus.trim().strip_prefix("Modulus=").expect("a modulus");
    let modulus: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect();
    let jwk = json!({"kty": "RSA", "n": encode(modulus), "e": "AQAB"});
    let mut peer = world.stranger();
    let draft = peer.draft(&world.url("newAccount"), r#"{"termsOfServiceAgreed":true}"#).with("alg", "RS256");
    let signed = draft.with("jwk", jwk).signed(|message| openssl(&["dgst", "-sha256", "-sign", &key], Some(message)));
    signed.problem(400, "badPublicKey");
}

fn a_post_as_get_is_empty_and_authenticated(world: &World) {
    let (mut peer, mut other) = (world.account(), world.account());
    let issued = peer.issue(&[&world.name("get")]);
    let order = peer.order(&[&world.name("get")]);
    let (authorization, _) = peer.authorization(&order);
    let orders = text(&peer.read(&peer.kid())["orders"]);
    for url in [&order.url, &authorization, &orders, &issued.certificate, &peer.kid()] {
        assert_eq!(peer.fetch(url).status, 200, "{url}");
        other.fetch(url).problem(403, "unauthorized");
    }
    for url in [&order.url, &orders, &issued.certificate] {
        peer.draft(url, "{}").send().problem(400, "malformed");
        peer.draft(url, "null").send().problem(400, "malformed");
        peer.draft(url, r#""""#).send().problem(400, "malformed");
    }
}

fn a_request_for_another_url_is_unauthorized(world: &World) {
    let mut peer = world.account();
    let url = world.url("newOrder");
    let path = world.path(&url);
    let others = [
        world.url("newAccount"),
        format!("https://elsewhere.example.test{path}"),
        format!("https://localhost{path}"),
        format!("http://{}{path}", world.authority()),
        format!("{url}/"),
        format!("{url}?"),
        format!("{url}?a=b"),
        format!("{url}#"),
        url.to_uppercase(),
        url.replace("/acme/", "/acme//"),
        path.clone(),
        String::new(),
    ];
    for other in others {
        let problem = peer.draft(&url, an_order(world)).with("url", other.as_str()).send().refused();
        assert!(text(&problem["type"]).ends_with(":unauthorized"), "{other}: {problem}");
        assert!(problem["status"] == 401 || problem["status"] == 403, "{problem}");
    }
    peer.draft(&url, an_order(world)).with("url", 5).send().problem(400, "malformed");
    assert_eq!(orders(&mut peer), 0);
    // What the client claims the host to be makes no difference.
    let answer = peer
        .draft(&url, an_order(world))
        .headers("Host: evil.example.test\r\nContent-Type: application/jose+json\r\n")
        .send();
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(answer.location().starts_with(world.base()), "URLs do not depend on the Host header");
}
