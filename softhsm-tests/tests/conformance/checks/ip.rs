//! IP identifiers (RFC 8738).

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::json;

use super::certificates::openssl;
use crate::der::{ACME_IDENTIFIER, AlpnDraft, CsrDraft, SubjectName};
use crate::jose::{Key, sha256};
use crate::peer::{Judged, challenge, text};
use crate::world::World;

crate::checks! {
    "I-01" => an_address_is_ordered_in_its_canonical_text,
    "I-02" => an_address_is_validated_at_itself,
    "I-02" => tls_alpn01_asks_for_the_reverse_name,
    "I-03" => addresses_have_no_wildcards_and_obey_the_profile,
}

fn an_address_is_ordered_in_its_canonical_text(world: &World) {
    let mut peer = world.account();
    for text in ["127.0.0.1", "::1"] {
        let address: IpAddr = text.parse().expect("an address");
        let order = peer.order(&[text]);
        assert_eq!(order.object["identifiers"], json!([{"type": "ip", "value": text}]));
        peer.prove(&order);
        let key = Key::p256();
        let der = |names| CsrDraft { key: &key, common_name: None, names, spoiled: false }.der();
        peer.finalize(&order, &der(vec![SubjectName::Dns(text)])).problem(400, "badCSR");
        peer.finalize(&order, &der(vec![SubjectName::Address(address)])).ok();
        let issued = peer.download(order, Key::p256());
        let said = openssl(&["x509", "-inform", "DER", "-noout", "-ext", "subjectAltName"], &issued.leaf);
        assert_eq!(said.matches("IP Address:").count(), 1, "{said}");
        assert!(!said.contains("DNS:"), "{said}");
    }
    let other = [
        "127.0.0.01",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "127.0.0.1/32",
        "127.0.0.1:80",
        "[::1]",
        "::1%lo",
        "0:0:0:0:0:0:0:1",
        "::0001",
        "FC00::A",
        "::ffff:127.0.0.1%1",
        "::/128",
        "",
        " 127.0.0.1",
        "localhost",
        "1.0.0.127.in-addr.arpa",
    ];
    for value in other {
        let payload = json!({"identifiers": [{"type": "ip", "value": value}]});
        let problem = peer.post(&world.url("newOrder"), &payload).refused();
        let kinds = ["malformed", "rejectedIdentifier"];
        assert!(kinds.iter().any(|kind| text(&problem["type"]).ends_with(kind)), "{value:?}: {problem}");
    }
}

fn an_address_is_validated_at_itself(world: &World) {
    let mut peer = world.account();
    for (address, host) in [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")] {
        let order = peer.order(&[address]);
        let (_, authorization) = match peer.authorization(&order) {
            // An authorization of another check is another account's.
            (url, authorization) if authorization["status"] == "pending" => (url, authorization),
            (_, authorization) => panic!("{authorization}"),
        };
        assert_eq!(authorization["identifier"], json!({"type": "ip", "value": address}));
        let challenges = authorization["challenges"].as_array().expect("challenges");
        let types: BTreeSet<String> = challenges.iter().map(|one| text(&one["type"])).collect();
        assert_eq!(types, ["http-01".to_owned(), "tls-alpn-01".to_owned()].into(), "no dns for addresses");
        let valid = peer.answer(&challenge(&authorization, "http-01"), |peer, one| {
            let token = text(&one["token"]);
            world.http.offer(&token, peer.key_authorization(&token));
        });
        assert_eq!(valid["status"], "valid", "{valid}");
        let asked = world.http.asked(&text(&valid["token"]));
        let port = world.rig.environment.get("SIGNET_HTTP01_PORT");
        assert_eq!(asked[0].headers["host"].trim_end_matches(&format!(":{port}")), host);
    }
}

fn tls_alpn01_asks_for_the_reverse_name(world: &World) {
    let mut peer = world.account();
    let zeros = "0.".repeat(31);
    for (text_form, reverse) in
        [("127.0.0.1", "1.0.0.127.in-addr.arpa".to_owned()), ("::1", format!("1.{zeros}ip6.arpa"))]
    {
        let address: IpAddr = text_form.parse().expect("an address");
        let key = Key::p256();
        for (names, end) in [
            (vec![SubjectName::Address(address)], "valid"),
            (vec![SubjectName::Dns(&reverse)], "invalid"),
            (vec![SubjectName::Dns(text_form)], "invalid"),
            (vec![SubjectName::Address([127, 0, 0, 2].into())], "invalid"),
        ] {
            // What was proved before would be used again.
            let mut fresh = world.account();
            std::mem::swap(&mut peer, &mut fresh);
            let done = peer.attempt(text_form, "tls-alpn-01", |peer, one| {
                let hash = sha256(peer.key_authorization(&text(&one["token"])).as_bytes());
                let identifier = Some((ACME_IDENTIFIER, true, hash));
                let draft = AlpnDraft { key: &key, names, identifier, not_after: "20990101000000Z" };
                world.alpn.offer(&reverse, draft.der(), key.pkcs8(), &[b"acme-tls/1"]);
            });
            assert_eq!(done["status"], end, "{done}");
        }
    }
}

fn addresses_have_no_wildcards_and_obey_the_profile(world: &World) {
    let mut peer = world.account();
    for value in ["*.127.0.0.1", "*", "*.1"] {
        for kind in ["ip", "dns"] {
            let payload = json!({"identifiers": [{"type": kind, "value": value}]});
            peer.post(&world.url("newOrder"), &payload).refused();
        }
    }
    // The profile permits private networks only.
    for value in ["192.0.2.1", "8.8.8.8", "2001:db8::1"] {
        let problem = peer.ask(&[value], json!({})).refused();
        assert!(text(&problem["type"]).ends_with(":rejectedIdentifier"), "{problem}");
    }
}
