//! Checks that the server does not pass yet. Empty when it is complete, and then this file goes.

const CHECKS: &[&str] = &[
    "accounts::a_deactivated_account_is_dead_and_its_certificates_are_not",
    "accounts::changed_terms_must_be_agreed_to",
    "accounts::keys_of_accounts_and_certificates_are_kept_apart",
    "jws::bad_keys_and_weak_keys_are_refused",
    "orders::a_wildcard_is_authorized_at_its_base_and_by_dns_only",
    "orders::refused_identifiers_are_listed_as_subproblems",
    "rollover::",
    "transport::the_directory_leads_everywhere",
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
