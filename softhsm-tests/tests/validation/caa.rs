//! CAA over DNS: climbing, aliases, trouble.

use daemon::validation::{CaaQuestion, Retry};
use policy::evidence::CaaCheck;
use policy::name::DnsName;

use super::*;

async fn caa(server: &Server, name: &str, wildcard: Wildcard) -> Result<CaaCheck, Failure> {
    let name = DnsName::parse(name).expect("a name");
    let question = CaaQuestion { name: &name, wildcard, method: Method::Dns01, account: ACCOUNT, now: NOW };
    let check = Validator::new(&settings(server)).caa(&question).await;
    assert!(check.as_ref().is_ok_and(|check| check.found.len() <= MAX_SEEN && check.at == NOW) || check.is_err());
    check
}

async fn allowed(server: &Server, name: &str) -> String {
    caa(server, name, Wildcard::No).await.unwrap_or_else(|failure| panic!("{name}: {failure:?}")).found
}

async fn forbidden(server: &Server, name: &str, said: &[&str]) -> Failure {
    let failure = caa(server, name, Wildcard::No).await.expect_err("a failure");
    assert_failure(&failure, FailureKind::Caa, said);
    failure
}

#[tokio::test]
async fn the_tree_is_climbed_to_its_top_and_the_first_set_decides() {
    let server = Server::start("test CAA 0 issue ca.test\nb.test CAA 0 issue else.test\nc.test A 127.0.0.1");
    assert_eq!(allowed(&server, "x.y.a.test").await, "CAA 0 issue \"ca.test\": test");
    assert_eq!(server.asked(), ["x.y.a.test CAA", "y.a.test CAA", "a.test CAA", "test CAA"]);
    let failure = forbidden(
        &server,
        "x.b.test",
        &["b.test", "x.b.test", "\"else.test\"", "names another issuer", "ca.example.test or ca.test"],
    )
    .await;
    assert_eq!(failure.retry, Retry::No);
    assert_eq!(allowed(&server, "c.test").await, "CAA 0 issue \"ca.test\": test");
}

#[tokio::test]
async fn without_records_everybody_may() {
    let server = Server::start("* A 127.0.0.1");
    assert_eq!(allowed(&server, "a.example.test").await, "no CAA records for a.example.test");
    let nowhere = Server::start("");
    assert_eq!(allowed(&nowhere, "a.example.test").await, "no CAA records for a.example.test");
    let other = Server::start("a.test CAA 0 iodef mailto:me@a.test");
    assert_eq!(allowed(&other, "a.test").await, "CAA without restriction: a.test");
}

#[tokio::test]
async fn aliases_are_followed_for_the_name_and_its_parents_are_its_own() {
    let server = Server::start(
        "www.a.test CNAME host.b.test\n\
         b.test CAA 0 issue else.test\n\
         alias.a.test CNAME strict.b.test\n\
         strict.b.test CAA 0 issue else.test\n\
         a.test CAA 0 issue ca.test",
    );
    // host.b.test has no records; b.test is no parent of www.a.test.
    assert_eq!(allowed(&server, "www.a.test").await, "CAA 0 issue \"ca.test\": a.test");
    forbidden(&server, "alias.a.test", &["alias.a.test (an alias of strict.b.test)"]).await;
    let circle = Server::start("a.test CNAME b.test\nb.test CNAME a.test");
    assert_eq!(forbidden(&circle, "a.test", &["aliases"]).await.retry, Retry::Yes);
}

#[tokio::test]
async fn a_wildcard_is_judged_by_issuewild() {
    let server = Server::start("a.test CAA 0 issue ca.test\na.test CAA 0 issuewild ;");
    allowed(&server, "a.test").await;
    let failure = caa(&server, "a.test", Wildcard::Yes).await.expect_err("a failure");
    assert_failure(&failure, FailureKind::Caa, &["*.a.test", "issuewild \";\" names no issuer"]);
    // The question may name the base or the wildcard itself.
    assert_eq!(caa(&server, "*.a.test", Wildcard::Yes).await.expect_err("a failure"), failure);
}

#[tokio::test]
async fn trouble_on_the_way_refuses_and_is_worth_another_attempt() {
    for fault in ["SERVFAIL", "REFUSED", "SILENT", "GARBAGE", "REFERRAL", "STRANGE"] {
        for at in ["x.a.test", "a.test", "test"] {
            let server = Server::start(&format!("* A 127.0.0.1\n{at} {fault} CAA"));
            let failure = forbidden(&server, "x.a.test", &["x.a.test", "could not be"]).await;
            assert_eq!(failure.retry, Retry::Yes);
        }
        // Above the set that decides nobody looks.
        let server = Server::start(&format!("a.test CAA 0 issue ca.test\ntest {fault} CAA"));
        allowed(&server, "x.a.test").await;
    }
}

#[tokio::test]
async fn a_record_set_with_a_tag_that_no_standard_allows_refuses() {
    for tag in ["iss_ue", "anextremelylongtag"] {
        let server = Server::start(&format!("a.test CAA 0 issue ca.test\na.test CAA 0 {tag} ca.test"));
        forbidden(&server, "a.test", &["could not be"]).await;
    }
}

#[tokio::test]
async fn account_and_method_are_compared_as_they_were_handed_out() {
    let server = Server::start(&format!(
        "a.test CAA 128 issue \"ca.test; accounturi={ACCOUNT}; validationmethods=dns-01\"\n\
         b.test CAA 0 issue \"ca.test; accounturi={ACCOUNT}0\"\n\
         c.test CAA 0 issue \"ca.test; validationmethods=http-01\"\n\
         d.test CAA 128 future x\nd.test CAA 0 issue ca.test"
    ));
    allowed(&server, "a.test").await;
    forbidden(&server, "b.test", &["names another account", ACCOUNT]).await;
    forbidden(&server, "c.test", &["does not list the method dns-01"]).await;
    forbidden(&server, "d.test", &["critical and not known"]).await;
}

#[tokio::test]
async fn with_dnssec_a_set_that_was_taken_away_on_the_way_refuses() {
    let server =
        Server::start("a.signed.test CAA 0 issue ca.test\nb.signed.test UNSIGNED CAA\nc.signed.test A 127.0.0.1");
    let anchor = server.sign("signed.test");
    let validator = Validator::new(&Validation { dnssec: Dnssec::Anchors(vec![anchor]), ..settings(&server) });
    let ask = async |name: &str| {
        let name = DnsName::parse(name).expect("a name");
        validator
            .caa(&CaaQuestion {
                name: &name,
                wildcard: Wildcard::No,
                method: Method::Dns01,
                account: ACCOUNT,
                now: NOW,
            })
            .await
    };
    assert_eq!(ask("a.signed.test").await.expect("allowed").found, "CAA 0 issue \"ca.test\": a.signed.test");
    assert_failure(&ask("b.signed.test").await.expect_err("a failure"), FailureKind::Caa, &["bogus"]);
}
