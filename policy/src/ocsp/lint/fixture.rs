//! Answers for the tests of lints: sound ones, spoilt part by part.

use super::{Lint, Subject};
use crate::crl::Reason;
use crate::key::{KeyAlgorithm, PublicKey};
use crate::ocsp::{CertId, HashAlgorithm, ResponseData, SingleResponse, Status, responder_id};
use crate::tbs::Issuer;
use crate::testing::{DAY, Hierarchy, KeyPair, NOW, serial};
use crate::tlv;

pub(super) struct Fixture {
    data: ResponseData,
    issuer: Issuer,
    key: PublicKey,
}

/// An answer `good`.
pub(super) fn good() -> Fixture {
    fixture(HashAlgorithm::Sha1, Status::Good)
}

/// The same, with the issuer named by SHA-256.
pub(super) fn sha256() -> Fixture {
    fixture(HashAlgorithm::Sha256, Status::Good)
}

/// An answer `revoked`.
pub(super) fn revoked() -> Fixture {
    fixture(HashAlgorithm::Sha1, Status::Revoked { at: NOW.minus(DAY), reason: Some(Reason::KeyCompromise) })
}

fn fixture(hash: HashAlgorithm, status: Status) -> Fixture {
    let issuer = Hierarchy::new(KeyAlgorithm::P256).issuing;
    let key = KeyPair::generate(KeyAlgorithm::P256).public();
    let id = CertId::new(hash, &issuer, serial(1));
    let (this_update, next_update) = (NOW.minus(60), NOW.plus(4 * DAY));
    let response = SingleResponse { id, status, this_update, next_update, archive_cutoff: None };
    let responder = responder_id(&key);
    let data =
        ResponseData { responder, produced_at: NOW, responses: vec![response], nonce: None, extended_revoke: false };
    Fixture { data, issuer, key }
}

impl Fixture {
    /// The same with a change.
    pub(super) fn with(mut self, change: impl FnOnce(&mut ResponseData)) -> Self {
        change(&mut self.data);
        self
    }

    /// The same with a change of its answer.
    pub(super) fn with_response(self, change: impl FnOnce(&mut SingleResponse)) -> Self {
        self.with(|data| change(&mut data.responses[0]))
    }

    /// The same for another serial number.
    pub(super) fn with_serial(self, serial: &[u8]) -> Self {
        self.with_response(|one| {
            let (_, contents, _) = tlv::split(one.id.as_der()).unwrap();
            let mut contents = contents[..contents.len() - 22].to_vec();
            tlv::element(&mut contents, tlv::INTEGER, serial);
            one.id = CertId::read(&contents).unwrap();
        })
    }

    fn check(&self, lint: &Lint) -> Result<(), String> {
        (lint.check)(&Subject { data: &self.data, issuer: &self.issuer, key: &self.key })
    }

    #[track_caller]
    pub(super) fn passes(&self, lint: &Lint) {
        assert_eq!(self.check(lint), Ok(()), "{}", lint.name);
    }

    /// The lint finds something, and its detail holds this text.
    #[track_caller]
    pub(super) fn fails(&self, lint: &Lint, fragment: &str) {
        let detail = self.check(lint).expect_err(lint.name);
        assert!(detail.contains(fragment), "{}: {detail}", lint.name);
    }
}
