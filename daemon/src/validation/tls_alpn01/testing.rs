//! Certificates of tls-alpn-01, good and bad, made by hand.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _};

use crate::issuance::testing::p256_spki;
use crate::service::acme::testing::fresh_key;

/// id-pe-acmeIdentifier, DER.
pub(super) const ACME_IDENTIFIER: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 1, 31];
/// Its place in old drafts, DER.
pub(super) const OBSOLETE: &[u8] = &[6, 9, 0x2b, 6, 1, 5, 5, 7, 1, 30, 1];
const SUBJECT_ALT_NAME: &[u8] = &[6, 3, 0x55, 0x1d, 17];
const ECDSA_SHA256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// What goes into a certificate.
pub(super) struct Recipe {
    pub(super) key: EcdsaKeyPair,
    /// Signs; the key itself if there is none.
    pub(super) signer: Option<EcdsaKeyPair>,
    pub(super) issuer: &'static str,
    pub(super) subject: &'static str,
    pub(super) extensions: Vec<Vec<u8>>,
}

impl Recipe {
    /// What RFC 8737 asks for, for one DNS name.
    pub(super) fn good(name: &str, digest: &[u8]) -> Self {
        Self {
            key: fresh_key(),
            signer: None,
            issuer: "x",
            subject: "x",
            extensions: vec![names(&[dns(name)]), identifier(ACME_IDENTIFIER, true, &octets(digest))],
        }
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let algorithm = tlv(0x30, &[ECDSA_SHA256]);
        let extensions: Vec<&[u8]> = self.extensions.iter().map(Vec::as_slice).collect();
        let tbs = tlv(
            0x30,
            &[
                &[0xa0, 3, 2, 1, 2],
                &[2, 1, 7],
                &algorithm,
                &distinguished(self.issuer),
                // It expired in 2001, which means nothing here.
                &tlv(0x30, &[&tlv(0x17, &[b"000101000000Z"]), &tlv(0x17, &[b"010101000000Z"])]),
                &distinguished(self.subject),
                &p256_spki(self.key.public_key().as_ref()),
                &tlv(0xa3, &[&tlv(0x30, &extensions)]),
            ],
        );
        let signature = self.signer.as_ref().unwrap_or(&self.key).sign(&SystemRandom::new(), &tbs).unwrap();
        tlv(0x30, &[&tbs, &algorithm, &tlv(3, &[&[0], signature.as_ref()])])
    }
}

/// The acmeIdentifier extension.
pub(super) fn identifier(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[oid, critical, &octets(value)])
}

/// The subject alternative names.
pub(super) fn names(names: &[Vec<u8>]) -> Vec<u8> {
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    tlv(0x30, &[SUBJECT_ALT_NAME, &octets(&tlv(0x30, &names))])
}

pub(super) fn dns(name: &str) -> Vec<u8> {
    tlv(0x82, &[name.as_bytes()])
}

pub(super) fn address(octets: &[u8]) -> Vec<u8> {
    tlv(0x87, &[octets])
}

pub(super) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(4, &[content])
}

fn distinguished(name: &str) -> Vec<u8> {
    tlv(0x30, &[&tlv(0x31, &[&tlv(0x30, &[&[6, 3, 0x55, 4, 3], &tlv(12, &[name.as_bytes()])])])])
}

pub(super) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long @ 0x80..=0xff => out.extend([0x81, long as u8]),
        long => out.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    out.extend(content);
    out
}
