//! dns-01, dns-account-01, dns-persist-01.

use daemon::validation::Retry;

use super::*;

/// As the draft makes it from [`ACCOUNT`].
const LABEL: &str = "wrygkto6bqyvxbgj";

#[tokio::test]
async fn one_of_several_values_is_enough() {
    let server = Server::start(&format!(
        "_acme-challenge.a.test TXT \"something else\"\n\
         _acme-challenge.a.test TXT {DIGEST}\n\
         _acme-challenge.a.test TXT \"\""
    ));
    let shown = validate(&server, Method::Dns01, "a.test").await.expect("control");
    assert_eq!(shown.validator, "dns-01/1");
    assert_eq!(shown.seen.address, None);
    assert_eq!(shown.seen.dns, Some(format!("TXT \"{DIGEST}\" at _acme-challenge.a.test")));
    assert_eq!(shown.until, None);
}

#[tokio::test]
async fn a_wildcard_is_shown_at_its_base() {
    let server = Server::start(&format!("_acme-challenge.a.test TXT {DIGEST}"));
    let name = name_of("a.test");
    let attempt = Attempt { wildcard: Wildcard::Yes, ..attempt(&name, Method::Dns01) };
    Validator::new(&settings(&server)).validate(&attempt).await.expect("control");
}

#[tokio::test]
async fn the_value_is_compared_octet_by_octet() {
    for wrong in [
        DIGEST.to_lowercase(),
        format!("{DIGEST}="),
        format!(" {DIGEST}"),
        format!("{DIGEST}{DIGEST}"),
        DIGEST[..42].to_owned(),
        AUTHORIZATION.to_owned(),
    ] {
        let server = Server::start(&format!("_acme-challenge.a.test TXT \"{wrong}\""));
        let failure = failure(&server, Method::Dns01, "a.test").await;
        assert_failure(&failure, FailureKind::IncorrectResponse, &["_acme-challenge.a.test", &wrong, DIGEST]);
        assert_eq!(failure.retry, Retry::Yes);
    }
}

#[tokio::test]
async fn aliases_are_followed_and_named() {
    let chain = |length: usize| {
        let mut lines = "_acme-challenge.a.test CNAME c0.test\n".to_owned();
        for at in 1..length {
            lines.push_str(&format!("c{}.test CNAME c{at}.test\n", at - 1));
        }
        lines + &format!("c{}.test TXT {DIGEST}\n", length - 1)
    };
    for length in [1, 4, 5, 10] {
        let shown = validate(&Server::start(&chain(length)), Method::Dns01, "a.test").await;
        let dns = shown.unwrap_or_else(|failure| panic!("{length}: {failure:?}")).seen.dns;
        assert_eq!(dns, Some(format!("TXT \"{DIGEST}\" at c{}.test", length - 1)));
    }
    for lines in [chain(11), "_acme-challenge.a.test CNAME b.test\nb.test CNAME _acme-challenge.a.test".to_owned()] {
        let failure = failure(&Server::start(&lines), Method::Dns01, "a.test").await;
        assert_failure(&failure, FailureKind::Dns, &["more than 10 aliases"]);
    }
    let dangling = Server::start("_acme-challenge.a.test CNAME nowhere.test");
    assert_failure(&failure(&dangling, Method::Dns01, "a.test").await, FailureKind::Dns, &["NXDOMAIN"]);
    let wrong = Server::start("_acme-challenge.a.test CNAME b.test\nb.test TXT old");
    assert_failure(
        &failure(&wrong, Method::Dns01, "a.test").await,
        FailureKind::IncorrectResponse,
        &["an alias of b.test", "\"old\""],
    );
}

#[tokio::test]
async fn what_is_not_there_is_told_from_what_could_not_be_looked_up() {
    let server = Server::start("_acme-challenge.other.test A 127.0.0.1");
    assert_failure(
        &failure(&server, Method::Dns01, "a.test").await,
        FailureKind::Dns,
        &["has no TXT record", "NXDOMAIN", DIGEST],
    );
    assert_failure(
        &failure(&server, Method::Dns01, "other.test").await,
        FailureKind::Dns,
        &["has no TXT record", "NODATA"],
    );
    server.add("_acme-challenge.a.test SERVFAIL");
    assert_failure(
        &failure(&server, Method::Dns01, "a.test").await,
        FailureKind::Dns,
        &["could not be looked up", "SERVFAIL"],
    );
}

#[tokio::test]
async fn foreign_octets_are_shown_in_printable_form() {
    let server = Server::start(&format!("_acme-challenge.a.test TXT \u{1b}[31m{}", "\u{e9}".repeat(400)));
    server.add("_acme-challenge.a.test TXT two\n_acme-challenge.a.test TXT three\n_acme-challenge.a.test TXT four");
    let failure = failure(&server, Method::Dns01, "a.test").await;
    assert_failure(&failure, FailureKind::IncorrectResponse, &[".[31m", "and more", "1 more"]);
}

#[tokio::test]
async fn the_accounts_own_label_is_asked_and_the_account_named() {
    let record = format!("_{LABEL}._acme-challenge.a.test");
    let server = Server::start(&format!("{record} TXT {DIGEST}"));
    let shown = validate(&server, Method::DnsAccount01, "a.test").await.expect("control");
    assert_eq!(shown.validator, "dns-account-01/1");
    assert_eq!(server.asked(), [format!("{record} TXT")]);
    server.clear(&record);
    // The record of dns-01 is not the one.
    server.add(&format!("_acme-challenge.a.test TXT {DIGEST}"));
    assert_failure(&failure(&server, Method::DnsAccount01, "a.test").await, FailureKind::Dns, &[&record, ACCOUNT]);
}

#[tokio::test]
async fn a_persistent_record_is_good_as_long_as_its_ttl() {
    let good = format!("ca.test; accounturi={ACCOUNT}");
    let server = Server::start(&format!("_validation-persist.a.test 300 TXT \"{good}\""));
    let shown = validate(&server, Method::DnsPersist01, "a.test").await.expect("control");
    assert_eq!((shown.validator, shown.until), ("dns-persist-01/1", Some(NOW.plus(300))));
    assert!(shown.seen.dns.expect("a record").contains(&good));
    // An alias that lasts for less limits it, too.
    let server = Server::start(&format!(
        "_validation-persist.a.test 20 CNAME b.test\nb.test 300 TXT \"{good}; persistUntil={}\"",
        NOW.0
    ));
    let shown = validate(&server, Method::DnsPersist01, "a.test").await.expect("control");
    assert_eq!(shown.until, Some(NOW.plus(20)));
}

#[tokio::test]
async fn of_several_persistent_records_one_good_one_is_enough_and_a_bad_one_is_explained() {
    let server = Server::start("_validation-persist.a.test TXT \"else.test; accounturi\"");
    assert_failure(
        &failure(&server, Method::DnsPersist01, "a.test").await,
        FailureKind::Unauthorized,
        &["none for this CA", "ca.example.test or ca.test", ACCOUNT],
    );
    server.add("_validation-persist.a.test TXT \"ca.test; accounturi=a; accounturi=b\"");
    assert_failure(&failure(&server, Method::DnsPersist01, "a.test").await, FailureKind::Malformed, &["stands twice"]);
    server.add(&format!("_validation-persist.a.test TXT \"ca.test; accounturi={ACCOUNT}\""));
    validate(&server, Method::DnsPersist01, "a.test").await.expect("control");
    let server =
        Server::start("_validation-persist.a.test TXT \"ca.test; accounturi=https://ca.example.test/acme/account/2\"");
    assert_failure(
        &failure(&server, Method::DnsPersist01, "a.test").await,
        FailureKind::Unauthorized,
        &["another account"],
    );
    assert_failure(
        &failure(&server, Method::DnsPersist01, "b.test").await,
        FailureKind::Dns,
        &["_validation-persist.b.test", "expected \"ca.example.test or ca.test; accounturi="],
    );
}

#[tokio::test]
async fn wildcards_and_names_below_need_a_persistent_record_that_says_so() {
    let plain = format!("_validation-persist.a.test TXT \"ca.test; accounturi={ACCOUNT}\"");
    let server = Server::start(&plain);
    let name = name_of("a.test");
    let wild = Attempt { wildcard: Wildcard::Yes, ..attempt(&name, Method::DnsPersist01) };
    let validator = Validator::new(&settings(&server));
    assert_failure(
        &validator.validate(&wild).await.expect_err("a failure"),
        FailureKind::Unauthorized,
        &["policy=wildcard is missing"],
    );
    assert_failure(
        &failure(&server, Method::DnsPersist01, "x.y.a.test").await,
        FailureKind::Dns,
        &["_validation-persist.x.y.a.test"],
    );
    server.add(&format!("_validation-persist.a.test TXT \"ca.test; accounturi={ACCOUNT}; policy=Wildcard\""));
    validator.validate(&wild).await.expect("control");
    validate(&server, Method::DnsPersist01, "x.y.a.test").await.expect("control");
    // A top-level domain speaks for nobody below it.
    let top =
        Server::start(&format!("_validation-persist.test TXT \"ca.test; accounturi={ACCOUNT}; policy=wildcard\""));
    assert_failure(
        &failure(&top, Method::DnsPersist01, "a.test").await,
        FailureKind::Dns,
        &["_validation-persist.a.test"],
    );
}

#[tokio::test]
async fn a_ca_without_a_name_of_its_own_takes_no_persistent_record() {
    let server = Server::start(&format!("_validation-persist.a.test TXT \"; accounturi={ACCOUNT}\""));
    let validator = Validator::new(&Validation { caa_identities: Vec::new(), ..settings(&server) });
    let failure = validator.validate(&attempt(&name_of("a.test"), Method::DnsPersist01)).await.expect_err("a failure");
    assert_failure(&failure, FailureKind::Unauthorized, &["caa_identities"]);
}
