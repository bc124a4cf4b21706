//! No extension stands twice (RFC 5280 section 4.2).
//!
//! Effective since May 2008.

use super::{Lint, Subject};

pub(super) const LINT: Lint = Lint { name: "extensions_distinct", rule: "RFC 5280 section 4.2", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    let extensions = subject.tbs.extensions();
    let repeated = extensions
        .iter()
        .enumerate()
        .find(|(index, extension)| extensions[..*index].iter().any(|earlier| earlier.extn_id == extension.extn_id));
    match repeated {
        Some((_, extension)) => Err(format!("the extension {} stands twice", extension.extn_id)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::RawTbs;
    use crate::lint::fixture;

    #[test]
    fn different_extensions_pass() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn a_repeated_extension_fails() {
        let repeat = |tbs: &mut RawTbs| {
            let extensions = tbs.extensions.as_mut().unwrap();
            extensions.push(extensions[0].clone());
        };
        fixture::leaf().with(repeat).fails(&LINT, "twice");
    }
}
