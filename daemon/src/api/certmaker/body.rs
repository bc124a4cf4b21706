//! Bodies: JSON objects, whatever the Content-Type says. CertMaker's clients send none.

use serde::Deserialize;

use super::error::Error;

/// Reads an object. Fields that are not known are the business of other versions.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    let unread = |why: &dyn std::fmt::Display| Error::invalid(format!("could not parse request body: {why}"));
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(unread(&"send a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| unread(&error))
}
