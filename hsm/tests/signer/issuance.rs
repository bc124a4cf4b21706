//! Certificates: what is signed, and every way in which it is not.

use std::collections::HashSet;
use std::os::fd::AsRawFd;
use std::sync::mpsc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use hsm::client::{Client, ClientError};
use hsm::journal::Event;
use hsm::signer::os::SystemClock;
use hsm::wire::{self, Act, Actor, Call, CertificateRequest, Refusal, Request, Response};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, socket};
use policy::effects::{Clock, UnixTime};
use policy::evidence::{AuthorizationRecord, CaaCheck, Method, NameEvidence};
use policy::key::PublicKey;
use policy::name::Name;
use policy::profile::{Decision, Profile};
use policy::serial::Serial;
use policy::tbs::{self, Certificate, Issuer};
use policy::validity::Requested;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::rig::{Appliance, PIN, Signer, actor, refusal};

/// An unsealed CA, and what `signetd` would know of it.
pub(crate) struct Ca {
    pub(crate) appliance: Appliance,
    pub(crate) client: Client,
    profile: Profile,
    issuer: Issuer,
    pub(crate) key: PublicKey,
    pub(crate) tls: Signer,
    pub(crate) signer: Option<Signer>,
}

impl Ca {
    pub(crate) fn new() -> Self {
        Self::with(Appliance::new(), "server")
    }

    /// With one of the profiles of this appliance.
    pub(crate) fn with(appliance: Appliance, profile: &str) -> Self {
        let (tls, mut signer) = (appliance.start("tls", None), appliance.start("ca", None));
        let client = appliance.client("ca");
        assert_eq!(appliance.unseal(&client, PIN), Ok(Response::Unsealed));
        signer.wait_for("STATUS=Unsealed");
        let file = format!("{profile}.toml");
        let text = std::fs::read_to_string(appliance.path("etc/profiles").join(&file)).unwrap();
        let profile = Profile::from_toml(&file, &text).unwrap();
        let issuer = CertificateDer::from_pem_file(appliance.path("etc/ca/issuing-1.pem")).unwrap();
        let issuer = Issuer::from_der(&issuer).unwrap();
        Self { appliance, client, profile, issuer, key: fresh_key(), tls, signer: Some(signer) }
    }

    pub(crate) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(crate) fn reserve(&self, count: u16) -> Vec<Serial> {
        match self.client.call(None, Request::Reserve { count }) {
            Ok(Response::Reserved(serials)) => serials,
            other => panic!("{other:?}"),
        }
    }

    /// What `signetd` sends for these names.
    pub(crate) fn request(&self, serial: Serial, names: &[&str], now: UnixTime) -> CertificateRequest {
        self.request_of(serial, names, now, Requested::default())
    }

    pub(crate) fn request_of(
        &self,
        serial: Serial,
        names: &[&str],
        now: UnixTime,
        requested: Requested,
    ) -> CertificateRequest {
        let names: Vec<Name> = names.iter().map(|name| Name::parse(name).unwrap()).collect();
        let record = record(&names, now);
        let Decision::Issue(terms) = self.profile.decide(&self.key, &names, None, &record, now) else {
            panic!("the profile refuses")
        };
        let terms = terms.with_validity(requested);
        let tbs = tbs::leaf(&self.profile, &terms, &self.issuer, &self.key, serial, now).unwrap();
        CertificateRequest {
            issuer: "issuing-1".to_owned(),
            profile: self.profile.name().to_owned(),
            profile_sha256: self.profile.digest(),
            common_name: None,
            requested,
            tbs: tbs.as_bytes().to_vec(),
            record,
        }
    }

    /// One certificate from beginning to end, without patience.
    pub(crate) fn issue(&self) -> Result<Response, ClientError> {
        let epoch = Some(self.client.epoch()?);
        let serial = match self.client.call(epoch, Request::Reserve { count: 1 })? {
            Response::Reserved(serials) => serials[0],
            other => panic!("{other:?}"),
        };
        let request = self.request(serial, &["www.example.test"], now());
        self.client.call(epoch, Request::Certificate(Box::new(request)))
    }

    fn ask(&self, request: &CertificateRequest) -> Result<Response, ClientError> {
        super::patiently(&self.client, &Request::Certificate(Box::new(request.clone())))
    }
}

pub(crate) fn now() -> UnixTime {
    SystemClock.now()
}

fn fresh_key() -> PublicKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    PublicKey::from_spki(der.as_ref()).unwrap()
}

fn record(names: &[Name], at: UnixTime) -> AuthorizationRecord {
    let evidence = |name: &Name| NameEvidence {
        name: name.clone(),
        method: Method::Http01,
        at,
        validator: "1".to_owned(),
        seen: None,
        // Made before whatever time the test calls now.
        caa: Some(CaaCheck { at: now().minus(60), found: "no CAA records".to_owned() }),
    };
    AuthorizationRecord {
        actor: "acme:1".to_owned(),
        request_id: "r-7".to_owned(),
        order: Some("o-1".to_owned()),
        subject: None,
        replaces: None,
        node: None,
        requester: None,
        names: names.iter().map(evidence).collect(),
    }
}

/// A request that needs no CA to be written.
pub(crate) fn any_certificate(serial: Serial) -> Request {
    Request::Certificate(Box::new(CertificateRequest {
        issuer: "issuing-1".to_owned(),
        profile: "server".to_owned(),
        profile_sha256: [0; 32],
        common_name: None,
        requested: Requested::default(),
        tbs: serial.as_bytes().to_vec(),
        record: record(&[], UnixTime(0)),
    }))
}

#[test]
fn a_certificate_is_signed_journalled_and_accepted_by_openssl() {
    let ca = Ca::new();
    let request = ca.request(ca.reserve(1)[0], &["www.example.test", "10.1.2.3"], now());
    let Ok(Response::Certificate { certificate, seq }) = ca.ask(&request) else { panic!("not signed") };
    let parsed = Certificate::from_der(&certificate).unwrap();
    assert_eq!(parsed.tbs(), request.tbs);

    let events = ca.appliance.events("ca");
    let Some(Event::Certificate { certificate: journalled, record, issuer, .. }) = events.get(seq as usize - 1) else {
        panic!("not journalled")
    };
    assert_eq!((journalled, record, issuer.as_str()), (&certificate, &request.record, "issuing-1"));

    let leaf = ca.appliance.path("leaf.pem");
    std::fs::write(&leaf, parsed.to_pem()).unwrap();
    let verified = std::process::Command::new("openssl")
        .args(["verify", "-x509_strict", "-CAfile"])
        .arg(ca.appliance.path("etc/ca/root.pem"))
        .arg("-untrusted")
        .arg(ca.appliance.path("etc/ca/issuing-1.pem"))
        .arg(leaf)
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn a_validity_that_is_asked_for_is_signed_as_it_is_within_the_profiles_bounds_or_refused() {
    let ca = Ca::new();
    let now = now();
    let ask = |not_before: Option<UnixTime>, not_after: Option<UnixTime>| Requested { not_before, not_after };
    for requested in
        [ask(Some(now), Some(now.plus(86_400))), ask(Some(now.minus(600)), None), ask(None, Some(now.plus(3_600)))]
    {
        let request = ca.request_of(ca.reserve(1)[0], &["www.example.test"], now, requested);
        let Ok(Response::Certificate { certificate, .. }) = ca.ask(&request) else { panic!("{requested:?}") };
        let validity = Certificate::from_der(&certificate).unwrap().validity();
        assert!(requested.not_before.is_none_or(|time| time == validity.not_before()), "{validity:?}");
        assert!(requested.not_after.is_none_or(|time| time == validity.not_after()), "{validity:?}");
    }
    // A `signetd` that was taken over asks for what the profile does not give.
    let serial = ca.reserve(1)[0];
    let good = ca.request_of(serial, &["www.example.test"], now, ask(Some(now), Some(now.plus(86_400))));
    for (requested, word) in [
        (ask(Some(now.minus(7 * 86_400)), Some(now.plus(86_400))), "cannot begin before"),
        (ask(Some(now.plus(86_400)), Some(now.plus(2 * 86_400))), "cannot begin after"),
        (ask(Some(now), Some(now.plus(10 * 365 * 86_400))), "cannot end after"),
        (ask(Some(now.minus(60)), Some(now.minus(30))), "cannot end before"),
        (ask(Some(now), Some(now.plus(86_401))), "is not the one"),
        (Requested::default(), "away from the time of signing"),
    ] {
        let refused = refusal(ca.ask(&CertificateRequest { requested, ..good.clone() }));
        assert!(refused.to_string().contains(word), "{refused:?} does not say `{word}`");
    }
    assert!(ca.ask(&good).is_ok());
}

#[test]
fn a_serial_is_used_once_and_only_if_this_process_reserved_it() {
    let ca = Ca::new();
    let serials = ca.reserve(2);
    let request = ca.request(serials[0], &["www.example.test"], now());
    assert!(ca.ask(&request).is_ok());
    assert_eq!(refusal(ca.ask(&request)), Refusal::Serial);
    let foreign = "41".repeat(20).parse().unwrap();
    assert_eq!(refusal(ca.ask(&ca.request(foreign, &["www.example.test"], now()))), Refusal::Serial);
}

#[test]
fn whatever_differs_from_profile_and_record_is_refused_and_its_serial_stays_good() {
    let ca = Ca::new();
    let serial = ca.reserve(1)[0];
    let good = ca.request(serial, &["www.example.test"], now());
    let refused = |change: &dyn Fn(&mut CertificateRequest), word: &str| {
        let mut request = good.clone();
        change(&mut request);
        let refused = refusal(ca.ask(&request));
        assert!(refused.to_string().contains(word), "{refused:?} does not say `{word}`");
    };
    let other = |names: &[&str], now| ca.request(serial, names, now).tbs;

    refused(&|request| request.tbs = other(&["evil.example.test"], now()), "is not the one");
    refused(&|request| request.tbs = other(&["www.example.test", "evil.example.test"], now()), "is not the one");
    refused(&|request| request.record.names.clear(), "");
    refused(&|request| request.record.names[0].name = Name::parse("evil.example.test").unwrap(), "is not the one");
    refused(&|request| request.record.names[0].at = now().minus(60 * 86_400), "");
    refused(&|request| request.record.names[0].at = now().plus(3_600), "future");
    // What only the console and the signer itself may say.
    refused(&|request| request.record.names[0].method = Method::Console, "console");
    refused(&|request| request.record.actor = "console".to_owned(), "socket");
    refused(&|request| request.profile = "client".to_owned(), "");
    refused(&|request| request.profile = "nobody".to_owned(), "there is no profile");
    refused(&|request| request.issuer = "nobody".to_owned(), "there is no key");
    refused(&|request| request.issuer = "ocsp-1".to_owned(), "does not issue");
    refused(&|request| request.common_name = Some("evil.example.test".to_owned()), "");
    refused(&|request| request.tbs.truncate(request.tbs.len() - 1), "");
    refused(&|request| request.tbs.push(0), "");
    refused(&|request| request.tbs.clear(), "");
    let middle = good.tbs.len() / 2;
    refused(&|request| request.tbs[middle] ^= 1, "");

    // Nothing of this was signed, and nothing used up the serial.
    let signed = |event: &&Event| matches!(event, Event::Certificate { profile, .. } if profile == "server");
    assert_eq!(ca.appliance.events("ca").iter().filter(signed).count(), 0);
    assert!(ca.ask(&good).is_ok());
}

#[test]
fn the_time_of_signing_must_be_now() {
    // The issuer is minutes old, and notBefore would be cut to its beginning: a profile without
    // backdating shows the time.
    let appliance = Appliance::new();
    let text = std::fs::read_to_string(appliance.path("etc/profiles/server.toml")).unwrap();
    let plain = text.replace("backdate = \"1h\"", "backdate = \"0s\"");
    assert_ne!(text, plain);
    std::fs::write(appliance.path("etc/profiles/plain.toml"), &plain).unwrap();
    let ca = Ca::with(appliance, "plain");
    let ask = |at: UnixTime| {
        let mut request = ca.request(ca.reserve(1)[0], &["www.example.test"], at);
        request.record = record(&[Name::parse("www.example.test").unwrap()], now());
        ca.ask(&request)
    };
    assert!(ask(now().plus(30)).is_ok());
    let refused = refusal(ask(now().plus(120)));
    assert!(refused.to_string().contains("away from the time of signing"), "{refused:?}");
}

#[test]
fn a_certificate_that_fits_no_entry_of_the_journal_is_not_signed() {
    let appliance = Appliance::new();
    let text = std::fs::read_to_string(appliance.path("etc/profiles/server.toml")).unwrap();
    let large = text.replace("maximum = 100", "maximum = 1000");
    assert_ne!(text, large);
    std::fs::write(appliance.path("etc/profiles/large.toml"), large).unwrap();
    let ca = Ca::with(appliance, "large");
    let serial = ca.reserve(1)[0];
    let names: Vec<String> = (0..700).map(|number| format!("h{number}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let refused = refusal(ca.ask(&ca.request(serial, &names, now())));
    assert!(refused.to_string().contains("fewer names"), "{refused:?}");
    assert!(ca.ask(&ca.request(serial, &names[..300], now())).is_ok(), "the serial was used up");
}

#[test]
fn a_key_of_the_ca_itself_is_not_certified() {
    let mut ca = Ca::new();
    ca.key = ca.issuer.key().clone();
    let request = ca.request(ca.reserve(1)[0], &["www.example.test"], now());
    assert!(refusal(ca.ask(&request)).to_string().contains("this CA's own"));
}

#[test]
fn the_journal_names_the_console_and_the_signer_only_for_their_own_acts() {
    let ca = Ca::new();
    for who in ["console", "signer"] {
        let actor = Actor { who: who.to_owned(), request_id: "r".to_owned() };
        let act = Act::RemoveAdministrator { fingerprint: "00".repeat(32) };
        for request in [Request::Record { act, actor: actor.clone() }, Request::Seal { actor }] {
            assert!(refusal(ca.client.call(None, request)).to_string().contains("socket"));
        }
    }
}

#[test]
fn no_certificate_stands_in_the_journal_behind_the_closing_of_the_seal() {
    let ca = Ca::new();
    let (sender, receiver) = mpsc::channel();
    let serials = ca.reserve(200);
    let send = |serial: &Serial| {
        let sender = sender.clone();
        let request = ca.request(*serial, &["www.example.test"], now());
        ca.client.send(None, Request::Certificate(Box::new(request)), move |answer| drop(sender.send(answer)));
    };
    serials[..100].iter().for_each(send);
    let sealing = sender.clone();
    ca.client.send(None, Request::Seal { actor: actor() }, move |answer| drop(sealing.send(answer)));
    serials[100..].iter().for_each(send);
    drop(sender);
    let answers: Vec<_> = receiver.iter().collect();
    assert!(answers.contains(&Ok(Response::Sealing)));

    let events = ca.appliance.events("ca");
    let sealed = events.iter().position(|event| *event == Event::Sealed).unwrap();
    let signed = |event: &&Event| matches!(event, Event::Certificate { .. });
    assert_eq!(events[sealed..].iter().filter(signed).count(), 0);
    let served = |event: &&Event| matches!(event, Event::Certificate { profile, .. } if profile == "server");
    let released = answers.iter().filter(|answer| matches!(answer, Ok(Response::Certificate { .. }))).count();
    assert!(events.iter().filter(served).count() >= released);
}

#[test]
fn many_certificates_in_flight_have_an_entry_each() {
    let ca = Ca::new();
    let (sender, receiver) = mpsc::channel();
    for serial in ca.reserve(200) {
        let sender = sender.clone();
        let request = ca.request(serial, &["www.example.test"], now());
        ca.client.send(None, Request::Certificate(Box::new(request)), move |answer| {
            sender.send((serial, answer)).unwrap();
        });
    }
    drop(sender);
    let mut entries = HashSet::new();
    for (serial, answer) in receiver {
        let Ok(Response::Certificate { certificate, seq }) = answer else { panic!("{answer:?}") };
        assert_eq!(Certificate::from_der(&certificate).unwrap().serial(), serial.as_bytes());
        assert!(entries.insert(seq));
    }
    assert_eq!(entries.len(), 200);
    hsm::journal::verify(&ca.appliance.path("var/ca/journal")).unwrap();
    assert_eq!(ca.client.call(None, Request::Seal { actor: actor() }), Ok(Response::Sealing));
}

/// A `signetd` that is killed leaves requests behind. What its successor reads in the journal must be
/// all of them that are ever signed, or it has the rest signed a second time (J3).
#[test]
fn nothing_is_signed_for_a_dead_peer_once_the_next_one_is_heard() {
    let ca = Ca::new();
    let address = UnixAddr::new(&ca.appliance.path("run/ca.sock")).unwrap();
    for _ in 0..5 {
        let serials = ca.reserve(100);
        let dying = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect(dying.as_raw_fd(), &address).unwrap();
        let mut frame = Vec::new();
        for (id, serial) in (0..).zip(&serials) {
            let request = ca.request(*serial, &["www.example.test"], now());
            let call = Call { id, request: Request::Certificate(Box::new(request)) };
            wire::encode(&call, &mut frame).unwrap();
            match wire::send(&dying, &frame, MsgFlags::MSG_DONTWAIT) {
                Ok(()) => {}
                // The buffer is full: enough is waiting.
                Err(_) => break,
            }
        }
        drop(dying);

        let next = ca.appliance.client("ca");
        let last = super::rig::status(&next).last;
        // Goes through the same queue, behind whatever might still be in it.
        let serial = ca.reserve(1)[0];
        let request = ca.request(serial, &["next.example.test"], now());
        let answer = next.call(None, Request::Certificate(Box::new(request)));
        let Ok(Response::Certificate { seq, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(seq, last + 1);
    }
}
