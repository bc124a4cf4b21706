use proptest::prelude::*;

use super::super::testing::{ACME_IDENTIFIER, OBSOLETE, Recipe, address, dns, identifier, names, octets, tlv};
use super::*;
use crate::service::acme::testing::fresh_key;

const DIGEST: [u8; 32] = [7; 32];

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn good() -> Recipe {
    Recipe::good("a.example.test", &DIGEST)
}

/// The refusal of what `change` makes of a good certificate.
fn refusal(change: impl FnOnce(&mut Recipe)) -> String {
    let mut recipe = good();
    change(&mut recipe);
    check(&recipe.build(), &name("a.example.test"), &DIGEST).unwrap_err()
}

#[test]
fn the_certificate_of_the_standard_is_accepted_though_it_expired() {
    assert_eq!(check(&good().build(), &name("a.example.test"), &DIGEST), Ok(()));
    // DNS names do not differ in case.
    assert_eq!(check(&Recipe::good("A.Example.Test", &DIGEST).build(), &name("a.example.test"), &DIGEST), Ok(()));
    let mut recipe = good();
    recipe.extensions.reverse();
    assert_eq!(check(&recipe.build(), &name("a.example.test"), &DIGEST), Ok(()));
}

#[test]
fn an_address_is_shown_with_an_address() {
    for (text, bytes) in [
        ("192.0.2.1", vec![192, 0, 2, 1]),
        ("2001:db8::1", {
            let mut bytes = vec![0x20, 1, 0xd, 0xb8];
            bytes.resize(15, 0);
            bytes.push(1);
            bytes
        }),
    ] {
        let mut recipe = good();
        recipe.extensions[0] = names(&[address(&bytes)]);
        assert_eq!(check(&recipe.build(), &name(text), &DIGEST), Ok(()), "{text}");
        // Nor the address as a DNS name, nor another.
        assert!(check(&recipe.build(), &name("192.0.2.2"), &DIGEST).unwrap_err().contains("expected 192.0.2.2"));
        recipe.extensions[0] = names(&[dns(text)]);
        assert!(check(&recipe.build(), &name(text), &DIGEST).unwrap_err().contains("DNS name"));
    }
}

#[test]
fn each_rule_of_the_standard_is_enforced() {
    for (why, refusal) in [
        ("no acmeIdentifier extension", refusal(|recipe| drop(recipe.extensions.pop()))),
        (
            "obsolete object identifier",
            refusal(|recipe| recipe.extensions[1] = identifier(OBSOLETE, true, &octets(&DIGEST))),
        ),
        ("not critical", refusal(|recipe| recipe.extensions[1] = identifier(ACME_IDENTIFIER, false, &octets(&DIGEST)))),
        (
            "0808080808080808080808080808080808080808080808080808080808080808, expected 0707",
            refusal(|recipe| recipe.extensions[1] = identifier(ACME_IDENTIFIER, true, &octets(&[8; 32]))),
        ),
        (
            "31 octets, expected 32",
            refusal(|recipe| recipe.extensions[1] = identifier(ACME_IDENTIFIER, true, &octets(&DIGEST[1..]))),
        ),
        (
            "33 octets, expected 32",
            refusal(|recipe| recipe.extensions[1] = identifier(ACME_IDENTIFIER, true, &octets(&[7; 33]))),
        ),
        ("not an OCTET STRING", refusal(|recipe| recipe.extensions[1] = identifier(ACME_IDENTIFIER, true, &DIGEST))),
        (
            "not an OCTET STRING",
            refusal(|recipe| {
                let value = [octets(&DIGEST), vec![0]].concat();
                recipe.extensions[1] = identifier(ACME_IDENTIFIER, true, &value);
            }),
        ),
        ("twice", refusal(|recipe| recipe.extensions.push(recipe.extensions[1].clone()))),
        ("no subject alternative name", refusal(|recipe| drop(recipe.extensions.remove(0)))),
        ("twice", refusal(|recipe| recipe.extensions.push(recipe.extensions[0].clone()))),
        (
            "\"b.example.test\", expected a.example.test",
            refusal(|recipe| recipe.extensions[0] = names(&[dns("b.example.test")])),
        ),
        ("\"*.example.test\"", refusal(|recipe| recipe.extensions[0] = names(&[dns("*.example.test")]))),
        (
            "2 subject alternative names",
            refusal(|recipe| recipe.extensions[0] = names(&[dns("a.example.test"), dns("b.example.test")])),
        ),
        (
            "2 subject alternative names",
            refusal(|recipe| recipe.extensions[0] = names(&[dns("a.example.test"), dns("a.example.test")])),
        ),
        ("0 subject alternative names", refusal(|recipe| recipe.extensions[0] = names(&[]))),
        ("mail address", refusal(|recipe| recipe.extensions[0] = names(&[tlv(0x81, &[b"me@a.example.test"])]))),
        ("issuer is not its subject", refusal(|recipe| recipe.issuer = "y")),
        ("not by its own key", refusal(|recipe| recipe.signer = Some(fresh_key()))),
    ] {
        assert!(refusal.contains(why), "{why}: {refusal}");
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let der = good().build();
    for bytes in [&[][..], &[0x30, 0], &der[..der.len() - 1], &[&der[..], &[0]].concat()] {
        assert!(check(bytes, &name("a.example.test"), &DIGEST).unwrap_err().contains("not DER"));
        assert_eq!(public_key(bytes), None);
    }
}

proptest! {
    #[test]
    fn no_changed_octet_makes_it_panic_or_pass_as_another(at in 0usize..400, bit in 0u8..8) {
        let mut der = good().build();
        let at = at % der.len();
        der[at] ^= 1 << bit;
        // Every octet is signed or part of the signature; at most the case of a letter of the name may change.
        prop_assert!(check(&der, &name("a.example.test"), &DIGEST).is_err());
    }
}
