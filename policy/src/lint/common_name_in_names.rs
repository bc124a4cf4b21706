//! A server's common name is one of its subject alternative names: no relying party believes a name that
//! nobody proved (BR 7.1.4.3).
//!
//! Effective since 2012-07-01.

use std::collections::BTreeSet;

use crate::asn1;

use super::{Lint, Subject};

pub(super) const LINT: Lint = Lint { name: "common_name_in_names", rule: "BR 7.1.4.3", check };

pub(super) fn check(subject: &Subject<'_>) -> Result<(), String> {
    if !subject.is_server() {
        return Ok(());
    }
    let names = subject.alternative_names();
    let names: BTreeSet<_> =
        names.iter().filter_map(asn1::subject_alternative_name).map(|name| name.to_string()).collect();
    match asn1::common_names(&subject.tbs.subject).find(|text| !names.contains(*text)) {
        Some(text) => Err(format!("the common name {text:?} is none of the subject alternative names")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::fixture;
    use crate::tbs::Role;

    #[test]
    fn a_common_name_among_the_names_passes() {
        fixture::leaf().passes(&LINT);
    }

    #[test]
    fn an_administrators_common_name_passes() {
        fixture::role(Role::Administrator).with(|tbs| tbs.subject = "CN=Jane Doe".parse().unwrap()).passes(&LINT);
    }

    #[test]
    fn another_common_name_fails() {
        let other = "CN=b.example.test".parse().unwrap();
        fixture::leaf().with(|tbs| tbs.subject = other).fails(&LINT, "b.example.test");
    }
}
