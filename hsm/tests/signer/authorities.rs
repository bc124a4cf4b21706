//! Authorities, made and used over the socket, and what a `signetd` that was taken over cannot get.

use std::time::{Duration, Instant};

use hsm::journal::{Authority, Event, Standing};
use hsm::wire::{
    Actor, AuthorityDeed, AuthorityRequest, EnrolmentRequest, MAX_CHAIN, Plan, Purpose, Refusal, Request, Response,
};
use nix::sys::signal::Signal;
use policy::authority::{AuthorityNumber, Kind, Subject, SubjectFields};
use policy::key::KeyKind;
use policy::tbs::{Certificate, Issuer};

use super::issuance::{Ca, any_certificate};
use super::rig::{Appliance, PATIENCE, actor, patiently, refusal, status};

const PROFILE: &str = r#"version = 1
description = "Departments"
validity = "3652d"
[authority]
kinds = ["self-signed", "intermediate"]
keys = ["p256", "p384"]
maximum = 3
issues = ["server"]
"#;

fn ca(profile: &str) -> Ca {
    let appliance = Appliance::new();
    std::fs::write(appliance.path("etc/profiles/departments.toml"), profile).unwrap();
    Ca::with(appliance, "server")
}

fn plan(common_name: &str, kind: Kind) -> Plan {
    let fields = SubjectFields { common_name: common_name.to_owned(), ..SubjectFields::default() };
    let (profile, subject) = ("departments".to_owned(), Subject::new(fields).unwrap());
    Plan { profile, kind, key: KeyKind::P256, subject, names: Vec::new(), not_after: None }
}

fn number(number: u32) -> AuthorityNumber {
    AuthorityNumber::try_from(number).unwrap()
}

fn request(of: u32, deed: AuthorityDeed) -> Request {
    Request::Authority(Box::new(AuthorityRequest { number: number(of), deed, actor: actor() }))
}

/// What the journal says last of it.
fn known(ca: &Ca, of: u32) -> Authority {
    let events = ca.appliance.events("ca").into_iter().rev();
    let found = events.filter_map(|event| match event {
        Event::Authority { authority, .. } if authority.number == number(of) => Some(*authority),
        _ => None,
    });
    found.into_iter().next().unwrap()
}

fn done(ca: &Ca, of: u32, deed: AuthorityDeed) -> Authority {
    // A refusal may have ended the connection.
    let answer = patiently(&ca.client, &request(of, deed));
    assert!(matches!(answer, Ok(Response::Recorded { .. })), "{answer:?}");
    known(ca, of)
}

fn refused(ca: &Ca, of: u32, deed: AuthorityDeed) -> Refusal {
    refusal(patiently(&ca.client, &request(of, deed)))
}

fn issuer(authority: &Authority) -> Issuer {
    Issuer::from_der(&authority.chain[0].0).unwrap()
}

#[test]
fn an_authority_signs_itself_and_another_which_outlives_a_kill() {
    let mut ca = ca(PROFILE);
    let root = done(&ca, 2, AuthorityDeed::Create(plan("Root", Kind::SelfSigned)));
    assert_eq!((root.standing, root.chain.len()), (Standing::Enabled, 1));
    Certificate::from_der(&root.chain[0].0).unwrap().verify(issuer(&root).key()).unwrap();
    // In the journal: the plan, the keys, the certificate, and what came of it.
    let steps: Vec<_> = ca
        .appliance
        .events("ca")
        .into_iter()
        .filter_map(|event| match event {
            Event::Authority { step, .. } => Some(format!("{step:?}")),
            Event::Certificate { issuer, profile, .. } if issuer == "authority-2" => Some(profile),
            _ => None,
        })
        .collect();
    assert_eq!(steps, ["Planned", "Keyed", "departments", "Certified"]);

    let below = done(&ca, 3, AuthorityDeed::Create(plan("Below", Kind::Intermediate)));
    assert_eq!((below.standing, below.chain.len()), (Standing::Pending, 0));
    // The same once more changes nothing.
    assert_eq!(done(&ca, 3, AuthorityDeed::Create(plan("Below", Kind::Intermediate))), below);
    let below = done(&ca, 3, AuthorityDeed::Certify { by: "authority-2".to_owned() });
    assert_eq!((below.standing, below.chain.len()), (Standing::Enabled, 2));
    Certificate::from_der(&below.chain[0].0).unwrap().verify(issuer(&root).key()).unwrap();
    assert_eq!(issuer(&below).path_length(), Some(0));

    // Each key is what the journal says, sealed or not, also for the next process.
    let labels = |ca: &Ca| -> Vec<(String, Purpose)> {
        let keys = status(&ca.client).keys.into_iter();
        keys.filter(|key| key.label.starts_with("authority-")).map(|key| (key.label, key.purpose)).collect()
    };
    let before = labels(&ca);
    assert_eq!(before.len(), 4);
    let signer = ca.signer.take().unwrap();
    signer.signal(Signal::SIGKILL);
    let (_, kept) = signer.end();
    ca.signer = Some(ca.appliance.start("ca", kept));
    let again = patiently(&ca.client, &request(3, AuthorityDeed::Disable));
    assert!(matches!(again, Ok(Response::Recorded { .. })), "{again:?}");
    assert_eq!((known(&ca, 3).standing, labels(&ca)), (Standing::Disabled, before));
    assert_eq!(done(&ca, 3, AuthorityDeed::Enable).chain, below.chain);
    let answer = ca.client.call(None, Request::OcspCertificate { key: "authority-3-ocsp".into(), actor: actor() });
    let Ok(Response::Certificate { certificate, .. }) = answer else { panic!("{answer:?}") };
    let responder = Certificate::from_der(&certificate).unwrap();
    responder.verify(issuer(&below).key()).unwrap();
    assert_eq!(responder.subject(), "CN=OCSP Responder 3");
}

#[test]
fn what_no_profile_allows_is_not_made() {
    let ca = ca(PROFILE);
    let before = ca.appliance.events("ca").len();
    let create = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan("Root", Kind::SelfSigned);
        change(&mut plan);
        AuthorityDeed::Create(plan)
    };
    for (of, deed, why) in [
        (2, create(&|plan| plan.profile = "server".to_owned()), "[authority]"),
        (2, create(&|plan| plan.profile = "nobody".to_owned()), "[authority]"),
        (2, create(&|plan| plan.key = KeyKind::Rsa4096), "no rsa4096 key"),
        (2, create(&|plan| plan.not_after = Some(policy::effects::UnixTime(1))), "cannot end before"),
        (2, create(&|plan| plan.not_after = Some(policy::effects::UnixTime(9_999_999_999))), "cannot end after"),
        (3, create(&|_| {}), "next authority has the number 2"),
        (2, AuthorityDeed::Certify { by: "issuing-1".to_owned() }, "no authority 2"),
        (2, AuthorityDeed::Retire, "no authority 2"),
    ] {
        let refused = refused(&ca, of, deed.clone());
        assert!(refused.to_string().contains(why), "{deed:?}: {refused}");
    }
    let mut console = AuthorityRequest { number: number(2), deed: create(&|_| {}), actor: actor() };
    console.actor = Actor { who: "console".into(), request_id: String::new() };
    let refused = refusal(patiently(&ca.client, &Request::Authority(Box::new(console))));
    assert!(refused.to_string().contains("socket"), "{refused}");
    assert_eq!(ca.appliance.events("ca").len(), before, "a refusal was journalled");
    let labels = status(&ca.client).keys.into_iter().map(|key| key.label);
    assert!(!labels.into_iter().any(|label| label.starts_with("authority-")), "a refusal made a key");
}

#[test]
fn there_are_no_more_than_the_profile_says_and_a_retired_one_makes_room() {
    let ca = ca(PROFILE);
    for of in 2..5 {
        let _ = done(&ca, of, AuthorityDeed::Create(plan(&format!("Root {of}"), Kind::SelfSigned)));
    }
    let fifth = || AuthorityDeed::Create(plan("Root 5", Kind::SelfSigned));
    assert!(refused(&ca, 5, fifth()).to_string().contains("as many as its `maximum`"));
    assert_eq!(done(&ca, 3, AuthorityDeed::Retire).standing, Standing::Retired);
    assert_eq!(done(&ca, 5, fifth()).standing, Standing::Enabled);
    // What is over stays over.
    for deed in [AuthorityDeed::Enable, AuthorityDeed::Disable, AuthorityDeed::Adopt { chain: vec![vec![0x30, 0]] }] {
        assert!(matches!(refused(&ca, 3, deed), Refusal::State(_)));
    }
}

#[test]
fn an_authority_signs_only_while_it_is_enabled_and_only_what_its_profile_names() {
    let ca = ca(&PROFILE.replace("[\"server\"]", "[\"client\"]"));
    let root = done(&ca, 2, AuthorityDeed::Create(plan("Root", Kind::SelfSigned)));
    let _ = done(&ca, 3, AuthorityDeed::Create(plan("Below", Kind::Intermediate)));
    let by = |label: &str| {
        let Request::Certificate(mut request) = any_certificate(ca.reserve(1)[0]) else { unreachable!() };
        request.issuer = label.to_owned();
        (request.profile, request.profile_sha256) = ("server".to_owned(), ca.profile().digest());
        refusal(patiently(&ca.client, &Request::Certificate(request))).to_string()
    };
    assert!(by("authority-2").contains("add it to `issues`"), "{}", by("authority-2"));
    assert!(by("authority-3").contains("no certificate yet"));
    assert!(by("authority-4").contains("no key"));
    assert!(by("authority-2-ocsp").contains("does not issue"));
    for (deed, why) in [(AuthorityDeed::Disable, "is disabled"), (AuthorityDeed::Retire, "is retired")] {
        let _ = done(&ca, 2, deed);
        assert!(by("authority-2").contains(why));
        let below = refused(&ca, 3, AuthorityDeed::Certify { by: "authority-2".to_owned() });
        assert!(below.to_string().contains(why), "{below}");
    }
    // The ceremony's CA has a path length of 0: what it signs cannot be a CA.
    let below = refused(&ca, 3, AuthorityDeed::Certify { by: "issuing-1".to_owned() });
    assert!(below.to_string().contains("path length"), "{below}");
    // A chain that is not this authority's.
    for chain in [vec![root.chain[0].0.clone()], vec![vec![0x30, 0]], vec![root.chain[0].0.clone(); MAX_CHAIN]] {
        assert!(matches!(refused(&ca, 3, AuthorityDeed::Adopt { chain }), Refusal::Policy(_)));
    }
    // No administrator comes from an authority.
    let enrolment = EnrolmentRequest {
        issuer: "authority-2".into(),
        name: "Bob".into(),
        role: policy::rights::Role::Administrator,
        csr: super::enrolment::csr(&ca),
        actor: actor(),
    };
    let refused = refusal(patiently(&ca.client, &Request::Enrol(enrolment)));
    assert!(refused.to_string().contains("ceremony's own CA"), "{refused}");
}

#[test]
fn an_authority_that_was_interrupted_is_completed_by_whoever_asks_again() {
    let mut ca = ca(PROFILE);
    // Killed at some moment while the keys are made; whatever was reached, the same request completes it.
    for of in 2..5 {
        let deed = || AuthorityDeed::Create(plan(&format!("Root {of}"), Kind::SelfSigned));
        ca.client.send(None, request(of, deed()), |_| {});
        let journal = ca.appliance.path("var/ca/journal/journal-00000000000000000001.log");
        let planned = format!("\"step\":\"planned\",\"authority\":{{\"number\":{of},");
        let until = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(&journal).unwrap().contains(&planned) {
            assert!(Instant::now() < until, "no plan was written");
            std::thread::sleep(Duration::from_millis(1));
        }
        let signer = ca.signer.take().unwrap();
        signer.signal(Signal::SIGKILL);
        let (_, kept) = signer.end();
        ca.signer = Some(ca.appliance.start("ca", kept));
        let answer = patiently(&ca.client, &request(of, deed()));
        assert!(matches!(answer, Ok(Response::Recorded { .. })), "{answer:?}");
        assert_eq!(known(&ca, of).standing, Standing::Enabled);
    }
}
