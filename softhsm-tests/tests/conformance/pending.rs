//! Checks that the server does not pass yet. Empty when it is complete, and then this file goes.

const CHECKS: &[&str] = &["x"];

/// Whether a failure is one of these.
pub(crate) fn knows(failure: &str) -> bool {
    CHECKS.iter().any(|check| failure.contains(check))
}

/// Whether there are any.
pub(crate) fn any() -> bool {
    !CHECKS.is_empty()
}
