//! A `signetd` that was taken over: it speaks the protocol, and asks for what it must not get.

use std::os::fd::{AsRawFd, OwnedFd};

use hsm::client::ClientError;
use hsm::journal::Event;
use hsm::wire::{
    self, Act, Actor, Call, CertificateRequest, CrlRequest, MAX_FRAME, MAX_OCSP, MAX_RESERVE, MAX_SERIALS, OcspRequest,
    Refusal, Reply, Request, Response,
};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, socket};
use policy::crl::Scope;
use policy::evidence::Method;
use policy::key::SignatureScheme;
use policy::name::Name;
use policy::validity::Requested;

use super::issuance::{Ca, now};
use super::rig::{PIN, actor, patiently, sealed, status};
use super::{Random, certificate_verify};

const DAY: u64 = 86_400;

/// What was signed and may be released, or an act that took effect.
fn is_effect(answer: &Result<Response, ClientError>) -> bool {
    !matches!(answer, Err(ClientError::Refused(_) | ClientError::Lost))
}

fn certificates(ca: &Ca) -> usize {
    let signed = |event: &&Event| matches!(event, Event::Certificate { profile, .. } if profile == "server");
    ca.appliance.events("ca").iter().filter(signed).count()
}

/// Changes of a request that would be granted as it is.
fn changed(ca: &Ca, good: &CertificateRequest) -> Vec<(&'static str, Request)> {
    let mut all: Vec<(&'static str, Request)> = Vec::new();
    let mut with = |name, change: &dyn Fn(&mut CertificateRequest)| {
        let mut request = good.clone();
        change(&mut request);
        assert_ne!(&request, good, "{name}");
        all.push((name, Request::Certificate(Box::new(request))));
    };
    let serial = policy::tbs::TbsCertificate::from_der(&good.tbs).unwrap().serial().unwrap();
    let bytes = |names: &[&str], requested| ca.request_of(serial, names, now(), requested).tbs;
    let plain = Requested::default();
    let evil = || Name::parse("evil.example.test").unwrap();

    with("no evidence", &|request| request.record.names.clear());
    with("evidence for another name", &|request| request.record.names[0].name = evil());
    with("evidence for one name more", &|request| {
        let mut more = request.record.names[0].clone();
        more.name = evil();
        request.record.names.push(more);
    });
    with("evidence twice", &|request| request.record.names.push(request.record.names[0].clone()));
    with("stale evidence", &|request| request.record.names[0].at = now().minus(60 * DAY));
    with("evidence from the future", &|request| request.record.names[0].at = now().plus(DAY));
    with("a person on the console", &|request| request.record.names[0].method = Method::Console);
    with("the console asks", &|request| request.record.actor = "console".to_owned());
    with("the signer asks", &|request| request.record.actor = "signer".to_owned());
    with("another profile", &|request| request.profile = "client".to_owned());
    with("an unknown profile", &|request| request.profile = "nobody".to_owned());
    with("a profile by its path", &|request| request.profile = "../profiles/server".to_owned());
    with("another file of the profile", &|request| request.profile_sha256[0] ^= 1);
    with("an unknown issuer", &|request| request.issuer = "nobody".to_owned());
    with("the OCSP key as issuer", &|request| request.issuer = "ocsp-1".to_owned());
    with("the checkpoint key as issuer", &|request| request.issuer = "checkpoint-1".to_owned());
    with("another common name", &|request| request.common_name = Some("evil.example.test".to_owned()));
    with("bytes for another name", &|request| request.tbs = bytes(&["evil.example.test"], plain));
    with("bytes for one name more", &|request| request.tbs = bytes(&["www.example.test", "evil.example.test"], plain));
    with("bytes for an address", &|request| request.tbs = bytes(&["10.1.2.3"], plain));
    with("bytes with another validity", &|request| {
        let until = Requested { not_before: None, not_after: Some(now().plus(DAY)) };
        request.tbs = bytes(&["www.example.test"], until);
    });
    with("a validity of ten years", &|request| request.requested.not_after = Some(now().plus(3650 * DAY)));
    with("a validity that begins last year", &|request| request.requested.not_before = Some(now().minus(365 * DAY)));
    with("a validity that ends before it begins", &|request| {
        request.requested = Requested { not_before: Some(now()), not_after: Some(now().minus(60)) };
    });
    with("bytes cut off", &|request| request.tbs.truncate(request.tbs.len() - 1));
    with("bytes with an appendix", &|request| request.tbs.push(0));
    with("no bytes", &|request| request.tbs.clear());
    with("nothing but zeros", &|request| request.tbs = vec![0; 64 * 1024]);
    with("a handshake as bytes", &|request| request.tbs = certificate_verify());
    with("the issuing certificate as bytes", &|request| request.tbs = ca.issuer().certificate().to_vec());
    for (name, part) in [("a bit of the head", 5), ("a bit of the validity", 3), ("a bit of the extensions", 2)] {
        with(name, &|request| {
            let at = request.tbs.len() * (part - 1) / part;
            request.tbs[at] ^= 1;
        });
    }
    let foreign = ca.request("41".repeat(20).parse().unwrap(), &["www.example.test"], now());
    with("a serial number that nobody reserved", &|request| *request = foreign.clone());
    all
}

/// Everything else that is never granted.
fn others() -> Vec<(&'static str, Request)> {
    let handshake = |key: &str| Request::Handshake {
        key: key.to_owned(),
        scheme: SignatureScheme::EcdsaP256Sha256,
        message: certificate_verify(),
    };
    let ocsp = |key: &str, responses: Vec<Vec<u8>>| {
        Request::Ocsp(OcspRequest { key: key.to_owned(), responses, actor: actor() })
    };
    let revoke = |count: usize, reason| Act::Revoke {
        serials: vec!["02".repeat(20).parse().unwrap(); count],
        reason,
        at: now(),
        invalidity_date: None,
    };
    let record = |act| Request::Record { act, actor: actor() };
    let console = || Actor { who: "console".to_owned(), request_id: "r-1".to_owned() };
    let certify = |key: &str| Request::OcspCertificate { key: key.to_owned(), actor: actor() };
    vec![
        ("a handshake with the issuing key", handshake("issuing-1")),
        ("a handshake with the OCSP key", handshake("ocsp-1")),
        ("a handshake with the key of another token", handshake("tls-1")),
        ("a statement on the daemon's socket", Request::Identify { statement: vec![0; 100] }),
        ("too many serial numbers", Request::Reserve { count: MAX_RESERVE + 1 }),
        (
            "a CRL without paper",
            Request::Crl(CrlRequest {
                issuer: "issuing-1".to_owned(),
                scope: Scope::All,
                start: 0,
                length: 100,
                actor: actor(),
            }),
        ),
        ("an OCSP answer by the issuing key", ocsp("issuing-1", vec![vec![0x30, 0]])),
        ("an OCSP answer that is none", ocsp("ocsp-1", vec![vec![0x30, 0]])),
        ("no OCSP answer", ocsp("ocsp-1", vec![])),
        ("too many OCSP answers", ocsp("ocsp-1", vec![vec![0x30, 0]; MAX_OCSP + 1])),
        ("a handshake as OCSP answer", ocsp("ocsp-1", vec![certificate_verify()])),
        ("a responder's certificate for the issuing key", certify("issuing-1")),
        ("a responder's certificate for no key", certify("nobody")),
        ("a revocation of nothing", record(revoke(0, None))),
        ("a revocation of too many", record(revoke(MAX_SERIALS + 1, None))),
        ("a revocation with certificateHold", record(revoke(1, Some(6)))),
        ("a revocation with an unused reason", record(revoke(1, Some(7)))),
        ("an act of the console", Request::Record { act: revoke(1, None), actor: console() }),
        ("the console seals", Request::Seal { actor: console() }),
        ("a challenge while unsealed", Request::Challenge),
    ]
}

#[test]
fn what_a_hostile_signetd_asks_for_by_hand_is_refused_and_has_no_effect() {
    let mut ca = Ca::new();
    let good = ca.request(ca.reserve(1)[0], &["www.example.test"], now());
    let client = ca.appliance.client("ca");
    let mut asked = changed(&ca, &good);
    asked.extend(others());
    let before = status(&client).last;
    let granted = asked.iter().filter(|(_, request)| is_effect(&patiently(&client, request)));
    assert_eq!(granted.map(|(name, _)| *name).collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(asked.len() >= 50, "{}", asked.len());
    assert_eq!((certificates(&ca), status(&client).last), (0, before), "something was journalled");

    // A box that was good once, and everything once more.
    let boxed = hsm::wire::UnsealBox { challenge: [7; 32], encapsulated: vec![7; 32], ciphertext: PIN.into() };
    let unseal = Request::Unseal { boxed, actor: actor() };
    assert!(!is_effect(&patiently(&client, &unseal)));
    let good = Request::Certificate(Box::new(good));
    assert!(matches!(patiently(&client, &good), Ok(Response::Certificate { .. })), "the serial number was used up");
    assert_eq!(patiently(&client, &good), Err(ClientError::Refused(Refusal::Serial)), "a replay");
    assert_eq!(certificates(&ca), 1);
    assert!(ca.signer.as_mut().unwrap().lives(), "{}", ca.appliance.log("ca"));
}

#[test]
fn of_ten_thousand_random_messages_the_policy_decides_each() {
    let mut ca = Ca::new();
    let address = UnixAddr::new(&ca.appliance.path("run/ca.sock")).unwrap();
    let open = || -> OwnedFd {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect(socket.as_raw_fd(), &address).unwrap();
        socket
    };
    let encoded = |request: Request| {
        let mut frame = Vec::new();
        wire::encode(&Call { id: 1, request }, &mut frame).unwrap();
        frame
    };
    let fresh = || ca.request(ca.reserve(1)[0], &["www.example.test"], now());
    let mut good = fresh();
    let others: Vec<Vec<u8>> = others()
        .into_iter()
        .map(|(_, request)| request)
        // One that becomes legal by a changed octet would end the test, not the signer.
        .filter(|request| !matches!(request, Request::Seal { .. } | Request::Record { .. }))
        .map(encoded)
        .collect();
    let mut random = Random(0x5167_6e65_7400_0002);
    let mut buffer = vec![0; MAX_FRAME];
    let mut socket = open();
    let (mut refused, mut closed, mut signed) = (0, 0, 0);
    for _ in 0..10_000 {
        let mut frame = match random.next() % 4 {
            0 => (0..=random.next() % 300).map(|_| random.next() as u8).collect(),
            1 => others[random.next() as usize % others.len()].clone(),
            _ => encoded(Request::Certificate(Box::new(good.clone()))),
        };
        for _ in 0..=random.next() % 3 {
            let at = random.next() as usize % frame.len();
            frame[at] = random.next() as u8;
        }
        if wire::send(&socket, &frame, MsgFlags::empty()).is_err() {
            socket = open();
            wire::send(&socket, &frame, MsgFlags::empty()).unwrap();
        }
        let reply = match wire::receive(&socket, &mut buffer, MsgFlags::empty()) {
            Ok(answer) if answer != [wire::VERSION] => wire::decode::<Reply>(answer).unwrap(),
            Ok(_) | Err(_) => {
                closed += 1;
                socket = open();
                continue;
            }
        };
        match reply.result {
            Ok(Response::Certificate { certificate, .. }) => {
                // What changed says nothing of the certificate: ids, and how a name was looked at.
                let Request::Certificate(asked) = wire::decode::<Call>(&frame).unwrap().request else { panic!() };
                let names = |request: &CertificateRequest| {
                    request.record.names.iter().map(|evidence| evidence.name.clone()).collect::<Vec<_>>()
                };
                assert_eq!((&asked.tbs, &asked.profile, names(&asked)), (&good.tbs, &good.profile, names(&good)));
                assert_eq!(policy::tbs::Certificate::from_der(&certificate).unwrap().tbs(), good.tbs);
                signed += 1;
                good = fresh();
            }
            Ok(Response::Signature(_) | Response::Crl { .. } | Response::Ocsp { .. } | Response::Unsealed) => {
                panic!("{:?}", wire::decode::<Call>(&frame))
            }
            Ok(_) => {}
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 1000 && closed > 1000, "{refused} refused, {closed} connections closed");
    // One whose serial number was used up without an answer is refused from then on.
    assert_eq!(certificates(&ca), signed);
    let client = ca.appliance.client("ca");
    assert!(!sealed(&status(&client)));
    assert!(ca.signer.as_mut().unwrap().lives(), "{}", ca.appliance.log("ca"));
}
