//! OCSP answers and the responder's certificate: what is signed, and every way in which it is not.

use std::sync::mpsc;

use hsm::client::ClientError;
use hsm::journal::Event;
use hsm::wire::{Actor, MAX_OCSP, OcspRequest, Refusal, Request, Response};
use policy::key::PublicKey;
use policy::ocsp::{
    BasicResponse, CertId, HashAlgorithm, ResponseData, SingleResponse, Status, assemble, responder_id,
};
use policy::serial::Serial;
use policy::tbs::Certificate;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::issuance::{Ca, now};
use super::rig::{actor, patiently, refusal};

const DAY: u64 = 86_400;

impl Ca {
    fn responder(&self) -> Certificate {
        let pem = CertificateDer::from_pem_file(self.appliance.path("etc/ca/ocsp-1.pem")).unwrap();
        Certificate::from_der(&pem).unwrap()
    }

    /// An answer for the certificate with this number.
    fn answer(&self, number: u32, status: Status) -> ResponseData {
        let mut octets = [1; 20];
        octets[16..].copy_from_slice(&number.to_be_bytes());
        let id = CertId::new(HashAlgorithm::Sha1, self.issuer(), Serial::from_slice(&octets).unwrap());
        let now = now();
        let (this_update, next_update) = (now, now.plus(4 * DAY));
        ResponseData {
            responder: responder_id(&self.responder().key().unwrap()),
            produced_at: now,
            responses: vec![SingleResponse { id, status, this_update, next_update, archive_cutoff: None }],
            nonce: None,
            extended_revoke: false,
        }
    }

    fn sign_ocsp(&self, data: &[ResponseData]) -> Result<Response, ClientError> {
        let responses = data.iter().map(|data| data.to_der().unwrap()).collect();
        self.client.call(None, batch(responses))
    }

    fn ocsp_refused(&self, data: ResponseData) -> Refusal {
        refusal(self.sign_ocsp(&[data]))
    }
}

fn batch(responses: Vec<Vec<u8>>) -> Request {
    Request::Ocsp(OcspRequest { key: "ocsp-1".to_owned(), responses, actor: actor() })
}

fn policy_says(refusal: Refusal, fragment: &str) {
    match refusal {
        Refusal::Policy(why) if why.contains(fragment) => {}
        other => panic!("{fragment}: {other:?}"),
    }
}

#[test]
fn a_batch_is_signed_journalled_once_and_each_answer_verifies() {
    let ca = Ca::new();
    let revoked = Status::Revoked { at: now().minus(9), reason: None };
    let data: Vec<ResponseData> = (0..MAX_OCSP as u32)
        .map(|number| ca.answer(number, if number % 2 == 0 { Status::Good } else { revoked }))
        .collect();
    let Ok(Response::Ocsp { signatures, seq }) = ca.sign_ocsp(&data) else { panic!("not signed") };
    assert_eq!(signatures.len(), data.len());
    let responder = ca.responder();
    let scheme = responder.key().unwrap().certificate_scheme();
    for (data, signature) in data.iter().zip(&signatures) {
        let der = assemble(&data.to_der().unwrap(), scheme, signature, &[responder.der()]).unwrap();
        let read = BasicResponse::from_der(&der).unwrap();
        assert_eq!(read.data(), data);
        assert_eq!(read.verify(ca.issuer()), Ok(&responder));
    }
    let events = ca.appliance.events("ca");
    match &events[seq as usize - 1] {
        Event::Ocsp { key, sha256 } => assert_eq!((key.as_str(), sha256.len()), ("ocsp-1", MAX_OCSP)),
        other => panic!("{other:?}"),
    }
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Ocsp { .. })).count(), 1);
}

#[test]
fn what_an_answer_may_not_say_is_refused() {
    let ca = Ca::new();
    let good = || ca.answer(1, Status::Good);
    let with = |change: &dyn Fn(&mut ResponseData)| {
        let mut data = good();
        change(&mut data);
        ca.ocsp_refused(data)
    };
    policy_says(with(&|data| data.responder[0] ^= 1), "responder");
    policy_says(with(&|data| data.responses.clear()), "responses");
    policy_says(with(&|data| data.produced_at = now().plus(300)), "both clocks");
    policy_says(with(&|data| data.responses[0].this_update = now().minus(DAY)), "both clocks");
    policy_says(with(&|data| data.responses[0].next_update = now().plus(11 * DAY)), "[revocation]");
    policy_says(with(&|data| data.responses[0].next_update = now().minus(2)), "times");
    let root =
        policy::tbs::Issuer::from_der(&CertificateDer::from_pem_file(ca.appliance.path("etc/ca/root.pem")).unwrap());
    let serial = Serial::from_slice(&[1; 20]).unwrap();
    let other = CertId::new(HashAlgorithm::Sha1, &root.unwrap(), serial);
    policy_says(with(&|data| data.responses[0].id = other.clone()), "another CA");
    // One bad answer, and none is signed.
    let mut bad = good();
    bad.responder[0] ^= 1;
    policy_says(refusal(ca.sign_ocsp(&[good(), bad])), "responder");
    policy_says(refusal(ca.client.call(None, batch(vec![b"no DER".to_vec()]))), "ResponseData");
    assert!(!ca.appliance.events("ca").iter().any(|event| matches!(event, Event::Ocsp { .. })));
    assert!(ca.sign_ocsp(&[good()]).is_ok());
}

#[test]
fn each_key_keeps_its_purpose() {
    let ca = Ca::new();
    let data = vec![ca.answer(1, Status::Good).to_der().unwrap()];
    for (key, responses) in [("issuing-1", data.clone()), ("checkpoint-1", data.clone()), ("ocsp-1", Vec::new())] {
        let request = OcspRequest { key: key.to_owned(), responses, actor: actor() };
        let refused = refusal(patiently(&ca.client, &Request::Ocsp(request)));
        assert!(matches!(refused, Refusal::Forbidden(_)), "{key}: {refused:?}");
    }
    let request = OcspRequest { key: "ocsp-9".to_owned(), responses: data.clone(), actor: actor() };
    policy_says(refusal(patiently(&ca.client, &Request::Ocsp(request))), "no key");
    let console = Actor { who: "console".to_owned(), request_id: String::new() };
    let request = OcspRequest { key: "ocsp-1".to_owned(), responses: data, actor: console.clone() };
    policy_says(refusal(patiently(&ca.client, &Request::Ocsp(request))), "socket");
    let request = Request::OcspCertificate { key: "ocsp-1".to_owned(), actor: console };
    policy_says(refusal(patiently(&ca.client, &request)), "socket");
    let request = Request::OcspCertificate { key: "issuing-1".to_owned(), actor: actor() };
    assert!(matches!(refusal(patiently(&ca.client, &request)), Refusal::Forbidden(_)));
}

#[test]
fn the_responders_certificate_is_renewed_short_lived_and_journalled() {
    let ca = Ca::new();
    let before = ca.responder();
    let request = || Request::OcspCertificate { key: "ocsp-1".to_owned(), actor: actor() };
    let Ok(Response::Certificate { certificate, seq }) = ca.client.call(None, request()) else { panic!("not made") };
    let renewed = Certificate::from_der(&certificate).unwrap();
    renewed.verify(ca.issuer().key()).unwrap();
    assert_eq!((renewed.key(), renewed.subject()), (before.key(), before.subject()));
    assert_ne!(renewed.serial(), before.serial());
    assert!(renewed.validity().seconds() <= 14 * DAY);
    match &ca.appliance.events("ca")[seq as usize - 1] {
        Event::Certificate { certificate: journalled, profile, issuer, record, .. } => {
            assert_eq!((journalled, profile.as_str(), issuer.as_str()), (&certificate, "ocsp-responder", "issuing-1"));
            assert_eq!((record.actor.as_str(), record.names.len()), ("admin:alice", 0));
        }
        other => panic!("{other:?}"),
    }
    // A relying party that gets the new one verifies an answer by the same key.
    let data = ca.answer(1, Status::Good);
    let Ok(Response::Ocsp { signatures, .. }) = ca.sign_ocsp(std::slice::from_ref(&data)) else { panic!("not signed") };
    let scheme = PublicKey::certificate_scheme(&renewed.key().unwrap());
    let der = assemble(&data.to_der().unwrap(), scheme, &signatures[0], &[renewed.der()]).unwrap();
    assert!(BasicResponse::from_der(&der).unwrap().verify(ca.issuer()).is_ok());
    assert!(ca.client.call(None, request()).is_ok(), "it can be made again");
}

#[test]
fn certificates_get_in_between_the_answers_of_large_batches() {
    let ca = Ca::new();
    let (sender, receiver) = mpsc::channel();
    // More batches than sessions, so that every session is busy with one.
    let batches = 3 * u32::from(super::rig::status(&ca.client).sessions);
    for number in 0..batches {
        let responses =
            (0..MAX_OCSP as u32).map(|one| ca.answer(number * 1000 + one, Status::Good).to_der().unwrap()).collect();
        let sender = sender.clone();
        ca.client.send(None, batch(responses), move |answer| sender.send(answer).unwrap());
    }
    drop(sender);
    assert!(matches!(ca.issue(), Ok(Response::Certificate { .. })));
    let behind = receiver.iter().map(|answer| {
        assert!(matches!(answer, Ok(Response::Ocsp { .. })), "{answer:?}");
    });
    assert_eq!(behind.count(), batches as usize);
    let events = ca.appliance.events("ca");
    let certificate = events.iter().rposition(|event| matches!(event, Event::Certificate { .. })).unwrap();
    let last = events.iter().rposition(|event| matches!(event, Event::Ocsp { .. })).unwrap();
    assert!(certificate < last, "the certificate waited for every batch");
}
