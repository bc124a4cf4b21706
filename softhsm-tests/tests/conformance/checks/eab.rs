//! External account binding (RFC 8555 section 7.3.4).

use serde_json::{Value, json};
use softhsm_tests::acme::Answer;

use crate::jose::{Key, decode, encode, flattened, mac};
use crate::peer::{Judged, Peer, text};
use crate::world::World;

crate::checks! {
    "A-055 A-037" => a_binding_is_verified_in_full_and_shown_as_it_was_sent,
    "A-055" => a_key_binds_one_account_unless_it_may_bind_more,
}

pub(crate) mod alone {
    //! What demands external accounts.
    use super::*;

    crate::checks! {
        "A-054" => an_external_account_can_be_demanded,
    }

    fn an_external_account_can_be_demanded(world: &World) {
        let mut known = world.account();
        world.with_settings("[acme]\nexternal_accounts = \"required\"", || {
            assert_eq!(world.look_up_directory()["meta"]["externalAccountRequired"], true);
            let mut peer = world.stranger();
            peer.post(&world.url("newAccount"), &json!({"termsOfServiceAgreed": true}))
                .refused_as("externalAccountRequired");
            let key = MacKey::make(world, &[]);
            peer.register(json!({"externalAccountBinding": key.bind(&peer)}));
            // Who has an account already needs none.
            known.order(&[&world.name("eab")]);
            let (kid, look) = (known.kid.take(), json!({"onlyReturnExisting": true}));
            assert_eq!(Some(known.post(&world.url("newAccount"), &look).location()), kid);
        });
    }
}

/// A refusal of one of these types.
trait RefusedAs {
    fn refused_as(&self, kind: &str);
}

impl RefusedAs for Answer {
    #[track_caller]
    fn refused_as(&self, kind: &str) {
        let problem = self.refused();
        assert_eq!(text(&problem["type"]), format!("urn:ietf:params:acme:error:{kind}"), "{problem}");
    }
}

/// An external account key, as its holder knows it.
struct MacKey {
    id: String,
    secret: Vec<u8>,
}

impl MacKey {
    fn make(world: &World, options: &[&str]) -> Self {
        let made = world.signetctl_json(&[&["acme", "eab", "create"], options].concat());
        let secret = decode(&text(&made["mac_key"])).expect("base64url");
        assert!(secret.len() >= 32, "256 bits for HS256");
        Self { id: text(&made["id"]), secret }
    }

    /// The inner JWS that is right.
    fn bind(&self, peer: &Peer<'_>) -> Value {
        self.bind_with(peer, "HS256", |_, _| {})
    }

    /// newAccount with it.
    fn register(&self, peer: &mut Peer<'_>) -> Answer {
        let binding = self.bind(peer);
        register(peer, &binding)
    }

    fn bind_with(&self, peer: &Peer<'_>, algorithm: &str, alter: impl Fn(&mut Value, &mut Value)) -> Value {
        let mut header = json!({"alg": algorithm, "kid": self.id, "url": peer.world.url("newAccount")});
        let mut payload = peer.key.jwk();
        alter(&mut header, &mut payload);
        flattened(&header, payload.to_string().as_bytes(), |message| mac(algorithm, &self.secret, message))
    }
}

fn register(peer: &mut Peer<'_>, binding: &Value) -> Answer {
    let payload = json!({"termsOfServiceAgreed": true, "externalAccountBinding": binding});
    peer.post(&peer.world.url("newAccount"), &payload)
}

fn a_binding_is_verified_in_full_and_shown_as_it_was_sent(world: &World) {
    let (key, other) = (MacKey::make(world, &[]), MacKey::make(world, &[]));
    let mut peer = world.stranger();
    let foreign = Key::p256();
    type Alter<'a> = &'a dyn Fn(&mut Value, &mut Value);
    let wrong: [(&str, Alter<'_>); 9] = [
        ("an unknown key", &|header, _| header["kid"] = json!("unknown")),
        ("another key", &|header, _| header["kid"] = json!(other.id)),
        ("no key", &|header, _| drop(header.as_object_mut().expect("an object").remove("kid"))),
        ("a nonce", &|header, _| header["nonce"] = json!("bm9uY2U")),
        ("another url", &|header, _| header["url"] = json!(world.url("newOrder"))),
        ("no url", &|header, _| drop(header.as_object_mut().expect("an object").remove("url"))),
        ("another account key", &|_, payload| *payload = foreign.jwk()),
        ("another algorithm in words only", &|header, _| header["alg"] = json!("HS512")),
        ("no MAC algorithm", &|header, _| header["alg"] = json!("none")),
    ];
    for (what, alter) in wrong {
        let binding = key.bind_with(&peer, "HS256", alter);
        let answer = register(&mut peer, &binding);
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        answer.refused();
    }
    let mut spoiled = key.bind(&peer);
    spoiled["signature"] = json!(encode([0; 32]));
    // A signature by the account's own key instead of a MAC.
    let header = json!({"alg": "ES256", "kid": key.id, "url": world.url("newAccount")});
    let signed = flattened(&header, peer.key.jwk().to_string().as_bytes(), |message| peer.key.sign(message));
    let short = {
        let mut binding = key.bind(&peer);
        let mac = decode(&text(&binding["signature"])).expect("base64url");
        binding["signature"] = json!(encode(&mac[..16]));
        binding
    };
    for wrong in [spoiled, signed, short, json!({}), json!("x"), json!([]), json!({"protected": 1})] {
        register(&mut peer, &wrong).refused();
    }
    peer.post(&world.url("newAccount"), &json!({"onlyReturnExisting": true})).problem(400, "accountDoesNotExist");
    for algorithm in ["HS256", "HS384", "HS512"] {
        let key = MacKey::make(world, &[]);
        let mut peer = world.stranger();
        let binding = key.bind_with(&peer, algorithm, |_, _| {});
        let answer = register(&mut peer, &binding);
        assert_eq!(answer.status, 201, "{algorithm}: {}", answer.text());
        peer.kid = Some(answer.location());
        assert_eq!(peer.read(&peer.kid())["externalAccountBinding"], binding, "as it was sent");
        peer.order(&[&world.name("eab")]);
    }
}

fn a_key_binds_one_account_unless_it_may_bind_more(world: &World) {
    let once = MacKey::make(world, &[]);
    let mut first = world.stranger();
    assert_eq!(once.register(&mut first).status, 201);
    let mut second = world.stranger();
    once.register(&mut second).refused();
    let more = MacKey::make(world, &["--reusable", "--name", ".bound.example.test"]);
    for _ in 0..2 {
        let mut peer = world.stranger();
        let answer = more.register(&mut peer);
        assert_eq!(answer.status, 201, "{}", answer.text());
        peer.kid = Some(answer.location());
        peer.order(&["a.bound.example.test"]);
        let problem = peer.ask(&[&world.name("unbound")], json!({})).refused();
        let kinds = ["rejectedIdentifier", "unauthorized"];
        assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{problem}");
    }
    let revoked = MacKey::make(world, &[]);
    world.signetctl(&["acme", "eab", "revoke", &revoked.id]);
    let mut peer = world.stranger();
    revoked.register(&mut peer).refused();
}
