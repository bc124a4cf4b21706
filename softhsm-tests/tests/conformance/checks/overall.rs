//! What must hold of every answer to every other check.

use crate::world::World;

crate::checks! {
    "A-001 A-029" => every_answer_was_well_formed,
    "A-030" => every_error_type_is_registered,
}

/// RFC 8555 section 6.7, RFC 9773 section 5, draft-ietf-acme-profiles-00 section 4.
const REGISTERED: [&str; 26] = [
    "accountDoesNotExist",
    "alreadyReplaced",
    "alreadyRevoked",
    "badCSR",
    "badNonce",
    "badPublicKey",
    "badRevocationReason",
    "badSignatureAlgorithm",
    "caa",
    "compound",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "invalidProfile",
    "malformed",
    "orderNotReady",
    "rateLimited",
    "rejectedIdentifier",
    "serverInternal",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
];

fn every_answer_was_well_formed(world: &World) {
    let faults = world.faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn every_error_type_is_registered(world: &World) {
    let seen = world.seen();
    for (kind, place) in &seen {
        let known = kind.strip_prefix("urn:ietf:params:acme:error:").is_some_and(|kind| REGISTERED.contains(&kind));
        assert!(known, "{kind} in {place}");
    }
    assert!(!seen.is_empty(), "the other checks have seen errors");
}
