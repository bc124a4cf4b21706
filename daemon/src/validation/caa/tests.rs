use proptest::prelude::*;

use super::*;

const ACCOUNT: &str = "https://ca.test/acme/account/1";

fn record(critical: bool, tag: &str, value: &str) -> CaaRecord {
    CaaRecord { critical, tag: tag.to_owned(), value: value.as_bytes().to_vec() }
}

fn asked(records: &[CaaRecord], wildcard: Wildcard, method: Method) -> Result<Option<CaaRecord>, String> {
    let identities = ["ca.test".to_owned(), "other-name.test".to_owned()];
    match judge(records, &Asker { identities: &identities, wildcard, account: ACCOUNT, method }) {
        Verdict::Allowed(by) => Ok(by.cloned()),
        Verdict::Forbidden(why) => Err(why),
    }
}

fn allowed(records: &[(bool, &str, &str)], wildcard: Wildcard) -> bool {
    let records: Vec<_> = records.iter().map(|(critical, tag, value)| record(*critical, tag, value)).collect();
    asked(&records, wildcard, Method::Dns01).is_ok()
}

#[test]
fn issue_decides_for_names_and_issuewild_for_wildcards_when_it_is_there() {
    use Wildcard::{No, Yes};
    for (records, name, wildcard) in [
        (&[][..], true, true),
        (&[(false, "issue", "ca.test")], true, true),
        (&[(false, "issue", "other-name.test")], true, true),
        (&[(false, "issue", "else.test")], false, false),
        (&[(false, "issue", ";")], false, false),
        (&[(false, "issue", "")], false, false),
        (&[(false, "issue", "else.test"), (false, "issue", "ca.test")], true, true),
        (&[(false, "issue", ";"), (false, "issue", "ca.test")], true, true),
        (&[(false, "issuewild", "ca.test")], true, true),
        (&[(false, "issuewild", ";")], true, false),
        (&[(false, "issue", "ca.test"), (false, "issuewild", ";")], true, false),
        (&[(false, "issue", ";"), (false, "issuewild", "ca.test")], false, true),
        (&[(false, "iodef", "mailto:a@b.test")], true, true),
        (&[(true, "iodef", "mailto:a@b.test")], true, true),
        (&[(false, "issuemail", ";")], true, true),
        (&[(false, "unknown", "x")], true, true),
        (&[(true, "unknown", "x")], false, false),
        (&[(true, "issuemail", "ca.test"), (false, "issue", "ca.test")], false, false),
        (&[(true, "issue", "ca.test")], true, true),
        // Tags and names do not differ in case.
        (&[(true, "ISSUE", "CA.Test")], true, true),
        (&[(false, "IssueWild", ";")], true, false),
        // Malformed values authorize nobody.
        (&[(false, "issue", "ca.test.")], false, false),
        (&[(false, "issue", "ca.test; x")], false, false),
        (&[(false, "issue", "ca.test; a=1; a=1")], false, false),
        (&[(false, "issue", "sub.ca.test")], false, false),
        (&[(false, "issue", "ca.test; unknown=1")], true, true),
    ] {
        assert_eq!((allowed(records, No), allowed(records, Yes)), (name, wildcard), "{records:?}");
    }
}

#[test]
fn account_and_method_restrict_it_further() {
    let by = |parameters: &str, method| {
        asked(&[record(false, "issue", &format!("ca.test; {parameters}"))], Wildcard::No, method)
    };
    for (parameters, dns, http) in [
        ("accounturi=https://ca.test/acme/account/1", true, true),
        ("accounturi=https://ca.test/acme/account/10", false, false),
        ("accounturi=https://CA.test/acme/account/1", false, false),
        ("accounturi=", false, false),
        ("AccountURI=https://ca.test/acme/account/2", false, false),
        ("validationmethods=dns-01", true, false),
        ("validationmethods=http-01,dns-01", true, true),
        ("validationmethods=tls-alpn-01", false, false),
        ("validationmethods=", false, false),
        ("validationmethods=dns-01,", false, false),
        ("validationmethods=,dns-01", false, false),
        ("validationmethods=DNS-01", false, false),
        ("validationmethods=dns_01,dns-01", false, false),
        ("validationmethods=dns-01; validationmethods=http-01", false, false),
        ("accounturi=https://ca.test/acme/account/1; validationmethods=dns-01", true, false),
        ("accounturi=https://ca.test/acme/account/2; validationmethods=dns-01", false, false),
        ("accounturi=https://ca.test/acme/account/1; accounturi=https://ca.test/acme/account/2", false, false),
    ] {
        let found = (by(parameters, Method::Dns01).is_ok(), by(parameters, Method::Http01).is_ok());
        assert_eq!(found, (dns, http), "{parameters}");
    }
    // Two records are two offers.
    let records = [
        record(false, "issue", "ca.test; accounturi=https://ca.test/acme/account/2"),
        record(false, "issue", "ca.test; validationmethods=dns-01"),
    ];
    assert!(asked(&records, Wildcard::No, Method::Dns01).is_ok());
    assert!(asked(&records, Wildcard::No, Method::Http01).is_err());
}

#[test]
fn a_refusal_shows_the_records_and_why_in_printable_text() {
    let records =
        [record(false, "issue", "else.test\u{1b}[31m"), record(false, "issue", "ca.test; validationmethods=x")];
    let why = asked(&records, Wildcard::No, Method::Dns01).unwrap_err();
    assert!(why.contains("CAA 0 issue \"else.test.[31m\" is malformed"), "{why}");
    assert!(why.contains("does not list the method dns-01"), "{why}");
    let why = asked(&[record(true, "tbs", "Unknown")], Wildcard::No, Method::Dns01).unwrap_err();
    assert_eq!(why, "CAA 128 tbs \"Unknown\" is critical and not known here");
}

fn any_record() -> impl Strategy<Value = CaaRecord> {
    let tag = prop_oneof![Just("issue"), Just("ISSUE"), Just("issuewild"), Just("iodef"), Just("other")];
    let value = prop_oneof![
        Just(";".to_owned()),
        Just("ca.test".to_owned()),
        Just("else.test".to_owned()),
        Just("ca.test; validationmethods=http-01".to_owned()),
        Just(format!("ca.test; accounturi={ACCOUNT}")),
        "[ -~]{0,20}",
    ];
    (any::<bool>(), tag, value).prop_map(|(critical, tag, value)| record(critical, tag, &value))
}

proptest! {
    #[test]
    fn the_order_of_records_decides_nothing(
        records in prop::collection::vec(any_record(), 0..6),
        wildcard in prop_oneof![Just(Wildcard::No), Just(Wildcard::Yes)],
    ) {
        let turned: Vec<_> = records.iter().rev().cloned().collect();
        prop_assert_eq!(
            asked(&records, wildcard, Method::Dns01).is_ok(),
            asked(&turned, wildcard, Method::Dns01).is_ok()
        );
    }

    #[test]
    fn who_allows_is_among_the_records_and_names_this_ca(
        records in prop::collection::vec(any_record(), 0..6),
        wildcard in prop_oneof![Just(Wildcard::No), Just(Wildcard::Yes)],
    ) {
        let is_restricted = records.iter().any(|record| match wildcard {
            Wildcard::No => record.tag.eq_ignore_ascii_case("issue"),
            Wildcard::Yes => record.tag.to_ascii_lowercase().starts_with("issue"),
        });
        match asked(&records, wildcard, Method::Dns01) {
            Ok(Some(by)) => {
                prop_assert!(records.contains(&by));
                prop_assert!(by.value.to_ascii_lowercase().trim_ascii().starts_with(b"ca.test"));
            }
            Ok(None) => prop_assert!(!is_restricted),
            Err(_) => {}
        }
        // A critical property that is not known forbids whatever else is there.
        if records.iter().any(|record| record.critical && record.tag == "other") {
            prop_assert!(asked(&records, wildcard, Method::Dns01).is_err());
        }
    }

    #[test]
    fn one_more_unknown_property_that_is_not_critical_changes_nothing(
        records in prop::collection::vec(any_record(), 0..6),
        value in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut more = records.clone();
        more.push(CaaRecord { critical: false, tag: "contactemail".into(), value });
        prop_assert_eq!(
            asked(&records, Wildcard::No, Method::Dns01).is_ok(),
            asked(&more, Wildcard::No, Method::Dns01).is_ok()
        );
    }
}
