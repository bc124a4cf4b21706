//! A signer with a SoftHSM token, started as systemd starts it and spoken to over its socket.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test says what broke by panicking")]

mod authorities;
mod crl;
mod enrolment;
mod hostile;
mod issuance;
mod ocsp;
mod recovery;
mod rig;
mod secrets;

use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use hsm::journal::Event;
use hsm::wire::{self, Act, BoundAccounts, Call, MAX_FRAME, Refusal, Reply, Request, Response, SealStatus};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, socket};
use policy::effects::UnixTime;
use policy::grant::{Grant, Pattern, RateLimits, Reuse};
use policy::key::SignatureScheme;
use policy::registration::{CommonName, Registration};

use rig::{Appliance, PIN, actor, patiently, refusal, sealed, status};

fn handshake(key: &str, message: &[u8]) -> Request {
    Request::Handshake { key: key.to_owned(), scheme: SignatureScheme::EcdsaP256Sha256, message: message.to_vec() }
}

fn certificate_verify() -> Vec<u8> {
    [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0", &[7; 32]].concat()
}

#[test]
fn a_sealed_signer_refuses_to_sign_and_goes_on_with_the_rest() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let _ca = appliance.start("ca", None);
    let client = appliance.client("ca");
    let before = status(&client);
    assert!(sealed(&before));
    assert_eq!(before.keys.iter().filter(|key| key.certificate.is_some()).count(), 2);

    assert_eq!(refusal(client.call(None, Request::Reserve { count: 1 })), Refusal::Sealed);
    assert_eq!(refusal(client.call(None, handshake("issuing-1", &certificate_verify()))), Refusal::Sealed);
    assert_eq!(refusal(client.call(None, Request::Seal { actor: actor() })), Refusal::Sealed);
    let serial = "01".repeat(20).parse().unwrap();
    assert_eq!(refusal(client.call(None, issuance::any_certificate(serial))), Refusal::Sealed);

    let act = Act::Revoke { serials: vec![serial], reason: Some(1), at: UnixTime(1), invalidity_date: None };
    let recorded = client.call(None, Request::Record { act, actor: actor() }).unwrap();
    assert_eq!(recorded, Response::Recorded { seq: before.last + 1 });
    match client.call(None, Request::Journal { after: before.last }).unwrap() {
        Response::Journal { lines, last } => {
            assert_eq!((lines.len(), last), (1, before.last + 1));
            assert!(lines[0].contains(r#""type":"revoked""#) && lines[0].contains("admin:alice"));
        }
        other => panic!("{other:?}"),
    }
    assert!(sealed(&status(&client)), "a refusal changed the state");
}

#[test]
fn what_administrators_do_in_acme_is_journalled_sealed_or_not() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let _ca = appliance.start("ca", None);
    let client = appliance.client("ca");
    let before = status(&client).last;
    let grant = Grant {
        label: "web team".to_owned(),
        names: vec![Pattern::parse(".example.test").unwrap()],
        profiles: Vec::new(),
        orders: Some(7),
        certificates: None,
        expires: None,
        reuse: Reuse::Once,
        limits: RateLimits::Apply,
    };
    let (account, key) = (|| "0a".repeat(16), || "0b".repeat(16));
    for act in [
        Act::CreateEabKey { key: key(), grant },
        Act::BindAccount { account: account(), key: key() },
        Act::EndAccount { account: account() },
        Act::RevokeEabKey { key: key(), accounts: BoundAccounts::End },
        Act::ApproveRequest { request: key(), digest: key(), requester: "admin:bob".to_owned() },
        Act::RejectRequest { request: key(), digest: key(), requester: "admin:alice".to_owned(), why: "no".to_owned() },
    ] {
        client.call(None, Request::Record { act, actor: actor() }).unwrap();
    }
    let Response::Journal { lines, .. } = client.call(None, Request::Journal { after: before }).unwrap() else {
        panic!("no journal")
    };
    let kinds = [
        "eab_key_created",
        "account_bound",
        "account_ended",
        "eab_key_revoked",
        "request_approved",
        "request_rejected",
    ];
    assert_eq!(lines.len(), kinds.len());
    for (line, kind) in lines.iter().zip(kinds) {
        assert!(line.contains(&format!(r#""type":"{kind}""#)) && line.contains("admin:alice"), "{line}");
    }
    assert!(lines[0].contains(r#""names":[".example.test"]"#) && lines[0].contains(r#""orders":7"#), "{}", lines[0]);
    // Nobody approves what he asked for himself.
    let act = Act::ApproveRequest { request: key(), digest: key(), requester: "admin:alice".to_owned() };
    let refused = client.call(None, Request::Record { act, actor: actor() }).unwrap_err();
    assert!(refused.to_string().contains("somebody else"), "{refused}");
    assert!(sealed(&status(&client)));
}

#[test]
fn what_is_done_to_nodes_is_journalled_and_no_seed_is_in_it() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let _ca = appliance.start("ca", None);
    let client = appliance.client("ca");
    let before = status(&client).last;
    let node = || CommonName::parse("web-1.example.test").unwrap();
    let registration = Registration {
        common_name: node(),
        names: vec![Pattern::parse(".web-1.example.test").unwrap()],
        profile: "server".to_owned(),
        account: None,
    };
    let hash = || "5e".repeat(32);
    for act in [
        Act::RegisterNode { registration },
        Act::IssueSeed { node: node(), seed: hash(), expires: UnixTime(7) },
        Act::UseSeed { node: node(), seed: hash() },
        Act::DeleteNode { node: node() },
    ] {
        client.call(None, Request::Record { act, actor: actor() }).unwrap();
    }
    let Response::Journal { lines, .. } = client.call(None, Request::Journal { after: before }).unwrap() else {
        panic!("no journal")
    };
    let kinds = ["node_registered", "seed_issued", "seed_used", "node_deleted"];
    assert_eq!(lines.len(), kinds.len());
    for (line, kind) in lines.iter().zip(kinds) {
        assert!(line.contains(&format!(r#""type":"{kind}""#)) && line.contains("web-1.example.test"), "{line}");
    }
    assert!(lines[0].contains(r#""names":[".web-1.example.test"]"#), "{}", lines[0]);
}

#[test]
fn a_revocation_has_a_reason_that_x509_knows_or_none() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let client = appliance.client("tls");
    let serial = "01".repeat(20).parse().unwrap();
    let last = status(&client).last;
    let revoke = |reason| {
        let act = Act::Revoke { serials: vec![serial], reason, at: UnixTime(1), invalidity_date: None };
        client.call(None, Request::Record { act, actor: actor() })
    };
    for reason in [6, 7, 8, 11, 255] {
        let refused = refusal(revoke(Some(reason)));
        assert!(matches!(refused, Refusal::Policy(_)), "{reason}: {refused:?}");
    }
    assert_eq!(status(&client).last, last, "a refused act is in the journal");
    for reason in [None, Some(0), Some(9), Some(10)] {
        assert!(revoke(reason).is_ok(), "{reason:?}");
    }
}

#[test]
fn a_wrong_pin_is_one_attempt_and_its_count_outlives_the_process() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let ca = appliance.start("ca", None);
    let client = appliance.client("ca");
    assert_eq!(refusal(appliance.unseal(&client, "not-the-pin")), Refusal::Pin { wrong_pins: 1 });
    assert_eq!(refusal(appliance.unseal(&client, "")), Refusal::Pin { wrong_pins: 2 });
    assert!(ca.kept.is_none());
    ca.signal(Signal::SIGKILL);
    let (_, kept) = ca.end();
    assert!(kept.is_none(), "a wrong PIN was kept");

    let _ca = appliance.start("ca", None);
    assert_eq!(patiently(&client, &Request::Status).map(|_| status(&client).wrong_pins), Ok(2));
    assert_eq!(appliance.unseal(&client, PIN), Ok(Response::Unsealed));
    let after = status(&client);
    assert_eq!((after.seal, after.wrong_pins), (SealStatus::Unsealed, 0));

    let events = appliance.events("ca");
    let attempts = events.iter().filter(|event| **event == Event::UnsealAttempted).count();
    let failures = events.iter().filter(|event| matches!(event, Event::UnsealFailed { .. })).count();
    assert_eq!((attempts, failures), (3, 2));
    assert_eq!(events.last(), Some(&Event::Unsealed));
}

#[test]
fn whoever_guesses_pins_has_to_wait() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let ca = appliance.start("ca", None);
    let client = appliance.client("ca");
    for wrong in 1..=6 {
        match refusal(appliance.unseal(&client, "not-the-pin")) {
            Refusal::Pin { wrong_pins } => assert_eq!(wrong_pins, wrong),
            // From the fifth on a second must pass, which it may have on a slow machine.
            Refusal::Policy(why) => assert!(wrong > 5 && why.contains("wait"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    std::fs::write(appliance.path("var/ca/wrong-pins"), "30\n").unwrap();
    drop(ca);
    let _ca = appliance.start("ca", None);
    patiently(&client, &Request::Status).unwrap();
    let refused = refusal(appliance.unseal(&client, PIN));
    assert!(refused.to_string().contains("30 wrong PINs: wait"), "{refused:?}");
    assert_eq!(status(&client).wrong_pins, 30, "it reached the token");
}

#[test]
fn a_daemon_that_takes_every_connection_leaves_the_identity_socket_alone() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let clients: Vec<_> = (0..16).map(|_| appliance.client("tls")).collect();
    for client in &clients {
        assert_eq!(status(client).name, "tls");
    }
    assert_eq!(status(&appliance.client("identity")).name, "tls");
}

#[test]
fn a_captured_box_is_refused_before_and_after_sealing() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let mut ca = appliance.start("ca", None);
    let client = appliance.client("ca");
    let captured = appliance.boxed(&client, PIN);
    let unseal = Request::Unseal { boxed: captured, actor: actor() };
    assert_eq!(client.call(None, unseal.clone()), Ok(Response::Unsealed));
    ca.wait_for("STATUS=Unsealed");

    assert_eq!(client.call(None, Request::Seal { actor: actor() }), Ok(Response::Sealing));
    let (ended, kept) = ca.end();
    assert!(ended.success(), "{ended}");
    assert!(kept.is_none(), "the descriptor store still holds the PIN");
    assert!(appliance.events("ca").contains(&Event::Sealed));

    let _ca = appliance.start("ca", kept);
    assert!(patiently(&client, &Request::Status).is_ok());
    assert_eq!(refusal(client.call(None, unseal.clone())), Refusal::Challenge);
    // With a challenge open, too: the captured box answers another one.
    rig::challenge(&client);
    assert_eq!(refusal(client.call(None, unseal)), Refusal::Challenge);
    let after = status(&client);
    assert!(sealed(&after));
    assert_eq!(after.wrong_pins, 0, "a replay reached the token");
}

#[test]
fn a_signer_that_was_killed_comes_back_unsealed_until_it_is_sealed() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let mut ca = appliance.start("ca", None);
    let client = appliance.client("ca");
    assert_eq!(appliance.unseal(&client, PIN), Ok(Response::Unsealed));
    ca.wait_for("STATUS=Unsealed");
    for _ in 0..2 {
        ca.signal(Signal::SIGKILL);
        let (_, kept) = ca.end();
        let kept = kept.expect("the PIN was kept");
        ca = appliance.start("ca", Some(kept));
        assert!(patiently(&client, &Request::Reserve { count: 1 }).is_ok());
    }
    let kept = ca.kept.as_ref().unwrap().try_clone().unwrap();
    assert_eq!(client.call(None, Request::Seal { actor: actor() }), Ok(Response::Sealing));
    let (ended, left) = ca.end();
    assert!(ended.success() && left.is_none());
    let mut bytes = vec![1; 512];
    kept.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0), "the PIN is still in the memfd");

    // Zeroed but not removed, as after a crash in the middle of sealing: sealed.
    let _ca = appliance.start("ca", Some(kept));
    assert!(patiently(&client, &Request::Status).is_ok());
    assert!(sealed(&status(&client)));
}

#[test]
fn a_stored_pin_that_the_token_refuses_is_forgotten_at_once() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let mut ca = appliance.start("ca", None);
    let client = appliance.client("ca");
    assert_eq!(appliance.unseal(&client, PIN), Ok(Response::Unsealed));
    ca.wait_for("STATUS=Unsealed");
    ca.signal(Signal::SIGKILL);
    let kept = ca.end().1.unwrap();
    kept.write_all_at(b"\x05wrong", 0).unwrap();
    let copy = kept.try_clone().unwrap();

    let (ended, left) = appliance.launch("ca", Some(kept)).end();
    assert!(!ended.success() && left.is_none());
    assert!(appliance.log("ca").contains("the token refused the stored PIN"));
    let mut bytes = vec![1; 512];
    copy.read_exact_at(&mut bytes, 0).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0));

    let _ca = appliance.start("ca", None);
    assert!(patiently(&client, &Request::Status).is_ok());
    let after = status(&client);
    assert!(sealed(&after));
    assert_eq!(after.wrong_pins, 1);
}

#[test]
fn a_wrong_pin_in_a_file_is_tried_once_however_often_the_signer_starts() {
    let appliance = Appliance::new();
    let (file, right) = (appliance.path("etc/tls.pin"), std::fs::read(appliance.path("etc/tls.pin")).unwrap());
    std::fs::write(&file, "not-the-pin").unwrap();
    let client = appliance.client("tls");
    let start = || {
        let tls = appliance.start("tls", None);
        patiently(&client, &Request::Status).unwrap();
        (status(&client), tls)
    };
    for _ in 0..100 {
        let (now, _tls) = start();
        assert!(matches!(now.seal, SealStatus::Faulted { .. }), "{now:?}");
        assert_eq!(now.wrong_pins, 1);
    }
    std::fs::write(&file, right).unwrap();
    let (now, _tls) = start();
    assert_eq!((now.seal, now.wrong_pins), (SealStatus::Unsealed, 0));
}

#[test]
fn a_tls_key_signs_handshakes_and_nothing_else_and_they_are_counted() {
    let appliance = Appliance::new();
    let tls = appliance.start("tls", None);
    let client = appliance.client("tls");
    let certificate = status(&client).keys.into_iter().find(|key| key.label == "tls-1").unwrap();
    let key = policy::key::PublicKey::from_spki(&certificate.spki).unwrap();
    for _ in 0..3 {
        let Ok(Response::Signature(signature)) = client.call(None, handshake("tls-1", &certificate_verify())) else {
            panic!("no signature");
        };
        key.verify(SignatureScheme::EcdsaP256Sha256, &certificate_verify(), &signature).unwrap();
    }
    let mut others = vec![b"something".to_vec(), vec![0x30; 300]];
    others.push([&[b' '; 64][..], b"TLS 1.3, client CertificateVerify\0", &[7; 32]].concat());
    for message in others {
        let refused = refusal(patiently(&client, &handshake("tls-1", &message)));
        assert!(matches!(refused, Refusal::Forbidden(_)), "{refused:?}");
    }
    let refused = refusal(patiently(&client, &handshake("identity-1", &certificate_verify())));
    assert!(matches!(refused, Refusal::Forbidden(_)), "{refused:?}");
    let refused = refusal(patiently(&client, &Request::Seal { actor: actor() }));
    assert!(matches!(refused, Refusal::Forbidden(_)), "{refused:?}");

    tls.signal(Signal::SIGTERM);
    let (ended, _) = tls.end();
    assert!(ended.success());
    assert_eq!(appliance.events("tls").last(), Some(&Event::Counted { handshakes: 3, secrets: 0 }));
}

#[test]
fn an_illegal_request_ends_its_connection_and_no_other() {
    let appliance = Appliance::new();
    let mut tls = appliance.start("tls", None);
    let (good, bad, signer) = (appliance.client("tls"), appliance.client("tls"), appliance.client("identity"));
    let (epoch, bad_epoch) = (good.epoch().unwrap(), bad.epoch().unwrap());
    let statement = b"signet unseal key, version 1\0".to_vec();
    let identify = Request::Identify { statement };
    assert!(matches!(refusal(bad.call(None, identify.clone())), Refusal::Forbidden(_)));
    assert!(patiently(&bad, &Request::Status).is_ok());
    assert_ne!(bad.epoch(), Ok(bad_epoch), "the connection did not end");
    assert!(good.call(Some(epoch), Request::Status).is_ok(), "another connection ended");

    // On the identity socket: not a statement, and not another request either.
    assert!(matches!(refusal(signer.call(None, identify)), Refusal::Forbidden(_)));
    for request in [
        Request::Journal { after: 0 },
        Request::Reserve { count: 1 },
        Request::Challenge,
        handshake("tls-1", &certificate_verify()),
    ] {
        let refused = refusal(patiently(&signer, &request));
        assert!(matches!(refused, Refusal::Forbidden(_)), "{request:?} {refused:?}");
    }
    assert!(tls.lives());
}

#[test]
fn whoever_unseals_an_unsealed_signer_disturbs_nobody() {
    let appliance = Appliance::new();
    let _tls = appliance.start("tls", None);
    let _ca = appliance.start("ca", None);
    let client = appliance.client("ca");
    let boxed = appliance.boxed(&client, PIN);
    assert_eq!(appliance.unseal(&client, PIN), Ok(Response::Unsealed));
    let epoch = client.epoch().ok();
    for request in [Request::Challenge, Request::Unseal { boxed, actor: actor() }] {
        let refused = refusal(client.call(epoch, request));
        assert_eq!(refused.to_string(), "the signer is not sealed");
    }
    assert!(client.call(epoch, Request::Reserve { count: 1 }).is_ok(), "the connection ended");
}

#[test]
fn illegal_frames_never_crash_a_signer_and_yield_no_signature() {
    let appliance = Appliance::new();
    let mut tls = appliance.start("tls", None);
    let address = UnixAddr::new(&appliance.path("run/tls.sock")).unwrap();
    let open = || {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect(socket.as_raw_fd(), &address).unwrap();
        socket
    };
    let mut frames = written_by_hand();
    let mut random = Random(0x5167_6e65_7400_0001);
    let sample = {
        let mut frame = Vec::new();
        wire::encode(&Call { id: 1, request: handshake("tls-1", &certificate_verify()) }, &mut frame).unwrap();
        frame
    };
    while frames.len() < 10_000 {
        // Half random, half a good frame with a few octets changed.
        frames.push(match random.next() % 2 {
            0 => (0..random.next() % 300).map(|_| random.next() as u8).collect(),
            _ => {
                let mut frame = sample.clone();
                for _ in 0..=random.next() % 3 {
                    let at = random.next() as usize % 64.min(frame.len());
                    frame[at] = random.next() as u8;
                }
                frame
            }
        });
    }
    let mut buffer = vec![0; MAX_FRAME];
    let mut socket = open();
    let (mut answers, mut closed) = (0, 0);
    for frame in frames.iter().filter(|frame| !frame.is_empty()) {
        // The signer may not yet have given the places of earlier connections away.
        let until = Instant::now() + rig::PATIENCE;
        while wire::send(&socket, frame, MsgFlags::empty()).is_err() {
            assert!(Instant::now() < until, "no connection stands");
            socket = open();
        }
        // Every frame is answered or ends the connection.
        match wire::receive(&socket, &mut buffer, MsgFlags::empty()) {
            Ok([wire::VERSION]) => {}
            Ok(answer) => {
                let reply: Reply = wire::decode(answer).unwrap();
                if let Ok(Response::Signature(_)) = reply.result {
                    // Only what is a whole handshake for the right key is signed.
                    let call: Call = wire::decode(frame).unwrap();
                    assert!(is_handshake(&call), "{call:?}");
                }
                answers += 1;
                continue;
            }
            Err(_) => closed += 1,
        }
        socket = open();
    }
    assert!(answers > 0 && closed > 1000, "{answers} answers, {closed} connections closed");
    assert!(tls.lives(), "{}", appliance.log("tls"));
    let client = appliance.client("tls");
    assert!(patiently(&client, &handshake("tls-1", &certificate_verify())).is_ok());
}

/// A changed frame may still be a handshake: other hash, other id.
fn is_handshake(call: &Call) -> bool {
    match &call.request {
        Request::Handshake { key, message, .. } => {
            let head = [&[b' '; 64][..], b"TLS 1.3, server CertificateVerify\0"].concat();
            key == "tls-1" && message.starts_with(&head)
        }
        _ => false,
    }
}

fn written_by_hand() -> Vec<Vec<u8>> {
    let encoded = |request| {
        let mut frame = Vec::new();
        wire::encode(&Call { id: 1, request }, &mut frame).unwrap();
        frame
    };
    let good = encoded(Request::Status);
    let mut reply = Vec::new();
    wire::encode(&Reply { id: 1, result: Ok(Response::Unsealed) }, &mut reply).unwrap();
    let [mut version, mut trailing, mut largest] = [good.clone(), good.clone(), good.clone()];
    version[0] = 99;
    trailing.push(0);
    largest.resize(MAX_FRAME, 0);
    vec![
        version,
        trailing,
        largest,
        reply,
        vec![wire::VERSION],
        vec![0],
        good[..good.len() - 1].to_vec(),
        // A length that is larger than anything, in a string and in bytes.
        [&[wire::VERSION, 1, 6][..], &[0xff; 9], &[0x01]].concat(),
        [&[wire::VERSION, 1, 7][..], &[0xff; 9], &[0x01]].concat(),
        // Text that is not UTF-8; a number with too many octets; an unknown request.
        vec![wire::VERSION, 1, 6, 2, 0xc3, 0x28, 0, 0],
        [&[wire::VERSION][..], &[0x80; 11], &[1, 0]].concat(),
        vec![wire::VERSION, 1, 200],
        encoded(Request::Reserve { count: u16::MAX }),
        encoded(Request::Journal { after: u64::MAX }),
        encoded(Request::Identify { statement: vec![0; 100] }),
    ]
}

/// xorshift: the same frames in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }
}

#[test]
fn a_sealed_signer_without_the_identity_signer_does_not_start() {
    let appliance = Appliance::new();
    let mut ca = appliance.launch("ca", None);
    std::thread::sleep(Duration::from_millis(500));
    assert!(ca.lives(), "it did not wait");
    let (ended, _) = ca.end();
    assert!(!ended.success());
    assert!(appliance.log("ca").contains("does not vouch for this signer"), "{}", appliance.log("ca"));
}

#[test]
fn a_second_process_on_the_same_state_is_refused() {
    let appliance = Appliance::new();
    let mut tls = appliance.start("tls", None);
    let (ended, _) = appliance.launch("tls", None).end();
    assert!(!ended.success());
    assert!(appliance.log("tls").contains("another process writes the journal"));
    assert!(tls.lives());
    assert!(status(&appliance.client("tls")).seal == SealStatus::Unsealed, "its socket was taken away");
}
