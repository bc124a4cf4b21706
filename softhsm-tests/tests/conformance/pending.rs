//! Checks that the server does not pass yet. Empty when it is complete, and then this file goes.

const CHECKS: &[&str] = &[
    "accounts::a_deactivated_account_is_dead_and_its_certificates_are_not",
    "dns::dns_persist_01_names_issuer_and_account",
    "eab::a_key_binds_one_account_unless_it_may_bind_more",
    "jws::bad_keys_and_weak_keys_are_refused",
    "limits::who_asks_for_too_much_is_told_when_to_come_back",
    "renewal::a_replacement_is_exempt_from_the_limits_on_orders",
    "rollover::both_signatures_and_everything_in_them_are_verified",
    "transport::the_directory_tells_terms_and_site",
];

/// Whether a failure is one of these.
pub(crate) fn knows(failure: &str) -> bool {
    CHECKS.iter().any(|check| failure.contains(check))
}

/// Whether there are any.
pub(crate) fn any() -> bool {
    !CHECKS.is_empty()
}
