//! What validation reads of strangers: DNS answers, CAA and dns-persist-01 records, certificates of
//! tls-alpn-01.

use std::process::Command;

use daemon::validation::Wildcard;
use daemon::validation::caa::{self, Asker, CaaRecord};
use daemon::validation::chain::{Chain, MAX_ALIASES, Step};
use daemon::validation::dns_persist01::{self, Scope, Wanted};
use daemon::validation::issue_value::IssueValue;
use daemon::validation::tls_alpn01::certificate;
use hickory_resolver::proto::op::{Message, OpCode, Query};
use hickory_resolver::proto::rr::rdata::{CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use policy::effects::UnixTime;
use policy::evidence::Method;

use super::{Verdict, verdict};

const ACCOUNT: &str = "https://ca.test/acme/account/1";
const DIGEST: [u8; 32] = [7; 32];

/// Certificates of tls-alpn-01.
pub fn acme_certificate(bytes: &[u8]) -> Verdict {
    let name = |text| policy::name::Name::parse(text).expect("a name");
    let outcome = certificate::check(bytes, &name("a.example.test"), &DIGEST);
    if let Err(why) = &outcome {
        assert!(why.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{why:?} is not printable");
    }
    // What shows control of one name shows it of no other, and for no other key authorization.
    assert!(outcome.is_err() || certificate::check(bytes, &name("b.example.test"), &DIGEST).is_err());
    assert!(certificate::check(bytes, &name("a.example.test"), &[8; 32]).is_err());
    verdict(outcome.is_ok())
}

/// CAA record sets: for each record an octet of flags, the length of the tag, the tag, the length of
/// the value, the value.
pub fn caa(bytes: &[u8]) -> Verdict {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let [flags, length, after @ ..] = rest {
        let Some((tag, after)) = after.split_at_checked(usize::from(*length)) else { break };
        let Some((length, after)) = after.split_first() else { break };
        let Some((value, after)) = after.split_at_checked(usize::from(*length)) else { break };
        let tag = String::from_utf8_lossy(tag).into_owned();
        records.push(CaaRecord { critical: flags & 128 != 0, tag, value: value.to_vec() });
        rest = after;
    }
    let identities = ["ca.test".to_owned()];
    let mut allowed = false;
    for wildcard in [Wildcard::No, Wildcard::Yes] {
        let asker = Asker { identities: &identities, wildcard, account: ACCOUNT, method: Method::Dns01 };
        match caa::judge(&records, &asker) {
            caa::Verdict::Allowed(Some(by)) => {
                let value = IssueValue::parse(&by.value).expect("a malformed value allows nothing");
                assert_eq!(value.issuer(), Some("ca.test"));
                assert!(value.parameter("accounturi").is_none_or(|account| account == ACCOUNT));
                allowed = true;
            }
            caa::Verdict::Allowed(None) => {
                assert!(!records.iter().any(|record| record.tag.eq_ignore_ascii_case("issue")));
            }
            caa::Verdict::Forbidden(why) => {
                assert!(why.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{why:?} is not printable");
            }
        }
    }
    verdict(allowed)
}

/// DNS messages, as answers to three kinds of questions.
pub fn dns_answer(bytes: &[u8]) -> Verdict {
    let Ok(message) = Message::from_vec(bytes) else { return Verdict::Refused };
    let asked = message.queries.first().map_or_else(Name::root, |query| query.name().clone());
    let mut found = false;
    for kind in [RecordType::A, RecordType::CAA, RecordType::TXT] {
        let mut chain = Chain::new(asked.clone(), kind);
        // As the resolver does with one answer after the other.
        for _ in 0..=MAX_ALIASES {
            match chain.step(&message.answers) {
                Step::Found(records) => {
                    let is_ours = |record: &&Record| record.record_type() == kind && record.name == *chain.owner();
                    assert!(!records.is_empty() && records.iter().all(is_ours));
                    assert!(records.iter().all(|record| record.ttl >= chain.ttl()));
                    found = true;
                    break;
                }
                Step::Moved => {}
                Step::Nothing | Step::TooLong => break,
            }
        }
        assert!(chain.alias().is_none_or(|alias| alias.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' ')));
    }
    verdict(found)
}

/// TXT records of dns-persist-01.
pub fn dns_persist(bytes: &[u8]) -> Verdict {
    let identities = ["ca.test".to_owned()];
    let judged = |scope, now| {
        let wanted = Wanted { identities: &identities, account: ACCOUNT, scope, now: UnixTime(now) };
        dns_persist01::judge(bytes, &wanted)
    };
    let good = judged(Scope::Name, 0) == dns_persist01::Verdict::Good;
    // What is good for more is good for less, and what is good later is good earlier.
    for (scope, now) in [(Scope::Below, 0), (Scope::Name, 1 << 40), (Scope::Below, 1 << 40)] {
        assert!(good || judged(scope, now) != dns_persist01::Verdict::Good);
    }
    verdict(good)
}

/// By openssl, in the words of its manual: a stranger to this code.
pub(super) fn acme_certificate_seeds() -> Vec<Vec<u8>> {
    let digest = DIGEST.map(|octet| format!("{octet:02x}")).concat();
    let extension = format!("1.3.6.1.5.5.7.1.31=critical,DER:0420{digest}");
    let openssl = |algorithm: &[&str]| {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-subj", "/CN=x", "-keyout", "/dev/null", "-outform", "DER"])
            .args(["-addext", "subjectAltName=DNS:a.example.test", "-addext", &extension, "-newkey"])
            .args(algorithm)
            .output()
            .expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    vec![openssl(&["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]), openssl(&["rsa:2048"]), openssl(&["ed25519"])]
}

pub(super) fn caa_seeds() -> Vec<Vec<u8>> {
    let record = |flags: u8, tag: &str, value: &str| {
        [&[flags, tag.len() as u8], tag.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    vec![
        record(0, "issue", "ca.test"),
        record(128, "issuewild", &format!("ca.test; accounturi={ACCOUNT}; validationmethods=dns-01,http-01")),
        [record(0, "issue", "else.test"), record(0, "iodef", "mailto:a@b.test"), record(0, "ISSUE", " CA.test ; x=y")]
            .concat(),
    ]
}

pub(super) fn dns_answer_seeds() -> Vec<Vec<u8>> {
    let name = |text| Name::from_ascii(text).expect("a name");
    let txt = |owner| Record::from_rdata(name(owner), 60, RData::TXT(TXT::from_bytes(vec![b"value", b"more"])));
    let alias = |owner, target| Record::from_rdata(name(owner), 60, RData::CNAME(CNAME(name(target))));
    let answer = |records: Vec<Record>| {
        let mut message = Message::response(7, OpCode::Query);
        message.add_query(Query::query(name("_acme-challenge.a.test."), RecordType::TXT));
        message.add_answers(records);
        message.to_vec().expect("a message")
    };
    vec![
        answer(vec![txt("_acme-challenge.a.test."), txt("_acme-challenge.a.test.")]),
        answer(vec![alias("_acme-challenge.a.test.", "b.test."), alias("b.test.", "c.test."), txt("c.test.")]),
    ]
}

pub(super) fn dns_persist_seeds() -> Vec<Vec<u8>> {
    vec![
        format!("ca.test; accounturi={ACCOUNT}").into_bytes(),
        format!("CA.test;accounturi = {ACCOUNT} ; policy=wildcard; persistUntil=4102444800").into_bytes(),
    ]
}
