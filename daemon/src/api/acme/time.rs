//! Times in the members of requests.

use policy::effects::UnixTime;

use crate::api::time::parse;
pub(super) use crate::api::time::rfc3339;
use crate::service::acme::error::AcmeError;

/// The time that a member holds, if it is there. A certificate has no parts of seconds, and what is
/// asked for is never altered, so they are refused unless they are zero.
pub(super) fn moment(member: &str, text: Option<&str>) -> Result<Option<UnixTime>, AcmeError> {
    let Some(text) = text else { return Ok(None) };
    let malformed = || {
        let text: String = text.chars().take(64).collect();
        AcmeError::Malformed(format!(
            "`{member}` is `{text}`: write a time in whole seconds as RFC 3339 has it, such as 2030-01-31T12:00:00Z"
        ))
    };
    parse(text).map(Some).ok_or_else(malformed)
}
