use proptest::prelude::*;

use super::*;

const ACCOUNT: &str = "https://ca.test/acme/account/1";

fn judged(record: &str, scope: Scope, now: u64) -> Verdict {
    let identities = ["ca.test".to_owned()];
    judge(record.as_bytes(), &Wanted { identities: &identities, account: ACCOUNT, scope, now: UnixTime(now) })
}

#[test]
fn a_record_must_name_this_ca_and_the_account() {
    use Verdict::{Good, Malformed, Other, Refused};
    for (record, expected) in [
        ("ca.test; accounturi=https://ca.test/acme/account/1", Good),
        (" CA.Test ;accounturi = https://ca.test/acme/account/1 ", Good),
        ("ca.test; accounturi=https://ca.test/acme/account/1; policy=wildcard; persistUntil=2000", Good),
        ("ca.test; accounturi=https://ca.test/acme/account/1; policy=else; x=y", Good),
        ("else.test; accounturi=https://ca.test/acme/account/1", Other),
        ("else.test; accounturi", Other),
        (";", Other),
        ("v=spf1 -all", Other),
        ("ca.test; accounturi=https://ca.test/acme/account/2", Refused("is for another account")),
        ("ca.test; accounturi=https://ca.test/acme/account/1; persistUntil=999", Refused("has expired (persistUntil)")),
        ("ca.test", Malformed("accounturi is missing")),
        ("ca.test; accounturi", Malformed("a parameter is not `tag=value`")),
        ("ca.test; accounturi=x; AccountURI=y", Malformed("a parameter stands twice")),
        (
            "ca.test; accounturi=https://ca.test/acme/account/1; persistUntil=tomorrow",
            Malformed("persistUntil is not a number of seconds since 1970"),
        ),
        (
            "ca.test; accounturi=https://ca.test/acme/account/1; persistUntil=-1",
            Malformed("persistUntil is not a number of seconds since 1970"),
        ),
        ("ca.test; accounturi=https://ca.test/acme/account/1; persistUntil=99999999999999999999999", Good),
    ] {
        assert_eq!(judged(record, Scope::Name, 1000), expected, "{record}");
    }
}

#[test]
fn only_a_record_that_says_so_speaks_for_names_below() {
    let plain = "ca.test; accounturi=https://ca.test/acme/account/1";
    assert!(matches!(judged(plain, Scope::Below, 0), Verdict::Refused(_)));
    assert!(matches!(judged(&format!("{plain}; policy=no"), Scope::Below, 0), Verdict::Refused(_)));
    assert_eq!(judged(&format!("{plain}; Policy=WildCard"), Scope::Below, 0), Verdict::Good);
}

#[test]
fn the_last_second_counts() {
    let record = "ca.test; accounturi=https://ca.test/acme/account/1; persistUntil=1000";
    assert_eq!(judged(record, Scope::Name, 1000), Verdict::Good);
    assert!(matches!(judged(record, Scope::Name, 1001), Verdict::Refused(_)));
}

proptest! {
    #[test]
    fn no_bytes_are_good_that_do_not_hold_the_account(bytes in prop::collection::vec(any::<u8>(), 0..80), good in any::<bool>()) {
        let mut record = if good { b"ca.test; accounturi=https://ca.test/acme/account/".to_vec() } else { Vec::new() };
        record.extend(bytes);
        let identities = ["ca.test".to_owned()];
        let wanted = Wanted { identities: &identities, account: ACCOUNT, scope: Scope::Name, now: UnixTime(0) };
        if judge(&record, &wanted) == Verdict::Good {
            prop_assert!(record.windows(ACCOUNT.len()).any(|part| part == ACCOUNT.as_bytes()));
        }
    }
}
