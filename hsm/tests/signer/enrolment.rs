//! Administrators, certified and enrolled over the socket.

use std::process::Command;

use hsm::journal::Event;
use hsm::wire::{Actor, EnrolmentRequest, Refusal, Request, Response};
use policy::csr::Csr;
use policy::rights::Role;
use policy::tbs::Certificate;

use super::issuance::Ca;
use super::rig::{actor, patiently, refusal};

/// A CSR of a fresh key, DER, as an administrator makes it.
pub(super) fn csr(ca: &Ca) -> Vec<u8> {
    let (key, out) = (ca.appliance.path("new.key"), ca.appliance.path("new.csr"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-outform", "DER"]);
    openssl.args(["-subj", "/CN=ignored.example.test", "-keyout"]).arg(key).arg("-out").arg(&out);
    assert!(openssl.output().unwrap().status.success());
    std::fs::read(out).unwrap()
}

fn request(name: &str, role: Role, csr: Vec<u8>) -> Request {
    Request::Enrol(EnrolmentRequest { issuer: "issuing-1".into(), name: name.into(), role, csr, actor: actor() })
}

#[test]
fn an_administrator_is_certified_and_enrolled_in_two_entries() {
    let ca = Ca::new();
    let csr = csr(&ca);
    let key = Csr::from_der(&csr).unwrap().key().clone();
    let answer = ca.client.call(None, request("Bob", Role::Operator, csr));
    let Ok(Response::Certificate { certificate, seq }) = answer else { panic!("{answer:?}") };
    let made = Certificate::from_der(&certificate).unwrap();
    made.verify(ca.issuer().key()).unwrap();
    assert_eq!((made.subject().as_str(), made.key().unwrap()), ("CN=Bob", key));
    assert!(made.names().is_empty());
    let events = ca.appliance.events("ca");
    match &events[seq as usize - 2..] {
        [
            Event::Certificate { certificate: journalled, profile, record, .. },
            Event::AdministratorEnrolled { name, fingerprint, role },
            ..,
        ] => {
            assert_eq!((journalled, profile.as_str()), (&certificate, "administrator"));
            assert_eq!((record.actor.as_str(), record.names.len()), ("admin:alice", 0));
            let print: String = made.sha256().iter().map(|octet| format!("{octet:02x}")).collect();
            assert_eq!((name.as_str(), *fingerprint == print, *role), ("Bob", true, Role::Operator));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_is_enrolled_without_a_proof_a_name_or_from_the_console() {
    let ca = Ca::new();
    let before = ca.appliance.events("ca").len();
    let good = csr(&ca);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    for (name, csr) in [("Bob", forged), ("Bob", Vec::new()), ("", good.clone()), ("Bob\n", good.clone())] {
        let refused = refusal(patiently(&ca.client, &request(name, Role::Administrator, csr)));
        assert!(matches!(refused, Refusal::Policy(_)), "{refused:?}");
    }
    let Request::Enrol(mut console) = request("Bob", Role::Administrator, good) else { unreachable!() };
    console.actor = Actor { who: "console".into(), request_id: String::new() };
    let refused = refusal(patiently(&ca.client, &Request::Enrol(console)));
    assert!(matches!(refused, Refusal::Policy(why) if why.contains("socket")));
    assert_eq!(ca.appliance.events("ca").len(), before);
}
