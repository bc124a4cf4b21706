//! What goes wrong on the way to an answer.

use std::time::Instant;

use super::*;

#[tokio::test]
async fn a_truncated_answer_is_fetched_over_tcp() {
    let server = Server::start(&format!("_acme-challenge.a.test TXT {DIGEST}\n_acme-challenge.a.test TRUNCATED"));
    validate(&server, Method::Dns01, "a.test").await.expect("control");
    assert_eq!(server.asked().last().map(String::as_str), Some("_acme-challenge.a.test TXT tcp"));
}

#[tokio::test]
async fn an_answer_of_many_kilobytes_is_read() {
    let mut lines = String::new();
    for number in 0..200 {
        lines.push_str(&format!("_acme-challenge.a.test TXT \"{number} {}\"\n", "x".repeat(200)));
    }
    let server = Server::start(&(lines + &format!("_acme-challenge.a.test TXT {DIGEST}")));
    validate(&server, Method::Dns01, "a.test").await.expect("control");
}

#[tokio::test]
async fn every_trouble_of_a_resolver_is_a_failure_with_its_own_words() {
    for (fault, said) in [
        ("SERVFAIL", "SERVFAIL"),
        ("REFUSED", "REFUSED"),
        ("REFERRAL", "refers to other servers"),
        ("STRANGE", "with the code 3841"),
        ("SILENT", "in time"),
        ("GARBAGE", "could not be looked up"),
    ] {
        let server = Server::start(&format!("* A 127.0.0.1\n_acme-challenge.a.test {fault}"));
        let begun = Instant::now();
        let failure = failure(&server, Method::Dns01, "a.test").await;
        assert_failure(&failure, FailureKind::Dns, &["_acme-challenge.a.test", said]);
        assert!(begun.elapsed() < Duration::from_secs(15), "{fault} took {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_resolver_that_is_silent_is_passed_over() {
    let silent = Server::start("* SILENT");
    let good = Server::start(&format!("_acme-challenge.a.test TXT {DIGEST}"));
    let settings = Validation { resolvers: vec![silent.address, good.address], ..settings(&good) };
    let validator = Validator::new(&settings);
    validator.validate(&attempt(&name_of("a.test"), Method::Dns01)).await.expect("control");
}

#[tokio::test]
async fn nothing_is_remembered_from_one_attempt_to_the_next() {
    let server = Server::start("_acme-challenge.a.test 3600 TXT old");
    let validator = Validator::new(&settings(&server));
    let name = name_of("a.test");
    let attempt = attempt(&name, Method::Dns01);
    validator.validate(&attempt).await.expect_err("a failure");
    server.clear("_acme-challenge.a.test");
    validator.validate(&attempt).await.expect_err("a failure");
    server.add(&format!("_acme-challenge.a.test 3600 TXT {DIGEST}"));
    validator.validate(&attempt).await.expect("control");
    server.clear("_acme-challenge.a.test");
    validator.validate(&attempt).await.expect_err("a failure");
}

#[tokio::test]
async fn with_dnssec_a_signed_answer_is_taken_and_a_bogus_one_refused() {
    let server = Server::start(&format!("_acme-challenge.signed.test TXT {DIGEST}"));
    let anchor = server.sign("signed.test");
    let settings = Validation { dnssec: Dnssec::Anchors(vec![anchor]), ..settings(&server) };
    let validate = async |name: &str| Validator::new(&settings).validate(&attempt(&name_of(name), Method::Dns01)).await;
    validate("signed.test").await.expect("control");
    // A signed "there is none" is a plain failure.
    assert_failure(&validate("b.signed.test").await.expect_err("a failure"), FailureKind::Dns, &["has no TXT record"]);
    for fault in ["BOGUS", "UNSIGNED"] {
        let name = format!("{}.signed.test", fault.to_lowercase());
        server.add(&format!("_acme-challenge.{name} TXT {DIGEST}\n_acme-challenge.{name} {fault}"));
        let failure = validate(&name).await.expect_err("a failure");
        assert_failure(&failure, FailureKind::Dns, &[&name, "does not pass DNSSEC validation (bogus)"]);
        // So is a "there is none" without a proof.
        server.add(&format!("_acme-challenge.none.{name} {fault}"));
        let failure = validate(&format!("none.{name}")).await.expect_err("a failure");
        assert_failure(&failure, FailureKind::Dns, &["does not pass DNSSEC validation (bogus)"]);
    }
}

#[tokio::test]
async fn without_dnssec_signatures_are_not_asked_for() {
    let server = Server::start(&format!("_acme-challenge.signed.test TXT {DIGEST}\n_acme-challenge.signed.test BOGUS"));
    server.sign("signed.test");
    validate(&server, Method::Dns01, "signed.test").await.expect("control");
}
