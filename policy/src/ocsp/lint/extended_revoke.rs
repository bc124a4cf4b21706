//! Where a serial number that was never issued is answered `revoked`, the answer says so (RFC 6960
//! section 2.2 and 4.4.8).
//!
//! Effective since June 2013.

use super::{Lint, Subject, ensure};
use crate::effects::UnixTime;
use crate::ocsp::{SingleResponse, Status};

pub(super) const LINT: Lint = Lint { name: "extended_revoke", rule: "RFC 6960 section 4.4.8", check };

fn check(subject: &Subject<'_>) -> Result<(), String> {
    let never_issued = |response: &SingleResponse| match response.status {
        Status::Revoked { at, .. } => at == UnixTime(0),
        Status::Good | Status::Unknown => false,
    };
    let as_it_must_be = |response: &SingleResponse| response.status == Status::NEVER_ISSUED;
    let mut those = subject.data.responses.iter().filter(|response| never_issued(response)).peekable();
    if those.peek().is_none() {
        return Ok(());
    }
    ensure(subject.data.extended_revoke, "a serial number that was never issued is revoked without extended-revoke")?;
    ensure(those.all(as_it_must_be), "a serial number that was never issued is not on hold since 1970")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ocsp::lint::fixture;

    #[test]
    fn a_never_issued_serial_with_the_extension_passes() {
        fixture::good().passes(&LINT);
        fixture::revoked().passes(&LINT);
        let never = fixture::good().with_response(|one| one.status = Status::NEVER_ISSUED);
        never.with(|data| data.extended_revoke = true).passes(&LINT);
    }

    #[test]
    fn one_without_or_for_another_reason_fails() {
        fixture::good().with_response(|one| one.status = Status::NEVER_ISSUED).fails(&LINT, "without");
        let other = Status::Revoked { at: UnixTime(0), reason: None };
        let fixture = fixture::good().with_response(|one| one.status = other);
        fixture.with(|data| data.extended_revoke = true).fails(&LINT, "hold");
    }
}
