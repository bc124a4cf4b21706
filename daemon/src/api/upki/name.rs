//! Distinguished names in uPKI's form, `/C=FR/CN=app.example`, and times.

use policy::effects::UnixTime;
use policy::registration::CommonName;
use policy::tbs::Certificate;

/// The subject of a certificate; without one, its first name stands for it.
pub(super) fn of_subject(certificate: &Certificate) -> String {
    match certificate.subject().as_str() {
        "" => certificate.names().first().map(|name| format!("/CN={name}")).unwrap_or_default(),
        subject => slashed(subject),
    }
}

/// The name of a node.
pub(super) fn of_node(name: &CommonName) -> String {
    format!("/CN={}", name.as_str().replace('/', "\\/"))
}

/// The common name that a path or a body names: alone, or in a DN.
pub(super) fn common_name(text: &str) -> &str {
    let last = |text: &'_ str| text.rfind("/CN=").or_else(|| text.rfind("/cn="));
    match last(text) {
        Some(at) => text[at + 4..].split('/').next().unwrap_or_default(),
        None if text.len() > 3 && text[..3].eq_ignore_ascii_case("CN=") => {
            text[3..].split(',').next().unwrap_or_default()
        }
        None => text,
    }
}

/// An RFC 4514 text with slashes, in the order in which the certificate has its parts.
fn slashed(rfc4514: &str) -> String {
    let mut parts = vec![String::new()];
    let mut characters = rfc4514.chars();
    while let Some(character) = characters.next() {
        let last = parts.last_mut().expect("there is one");
        match character {
            ',' => parts.push(String::new()),
            '\\' => last.extend(characters.next()),
            '/' => last.push_str("\\/"),
            other => last.push(other),
        }
    }
    parts.iter().rev().map(|part| format!("/{part}")).collect()
}

/// `2026-11-28T15:00:00Z`
pub(super) fn time(at: UnixTime) -> String {
    let at = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(at.0)).unwrap_or(std::time::UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string()
}

/// Reasons of RFC 5280 section 5.3.1, by their codes.
pub(super) const REASONS: [(u8, &str); 10] = [
    (0, "unspecified"),
    (1, "keyCompromise"),
    (2, "cACompromise"),
    (3, "affiliationChanged"),
    (4, "superseded"),
    (5, "cessationOfOperation"),
    (6, "certificateHold"),
    (8, "removeFromCRL"),
    (9, "privilegeWithdrawn"),
    (10, "aACompromise"),
];

/// The name of a reason.
pub(super) fn reason(code: Option<u8>) -> &'static str {
    REASONS.iter().find(|(known, _)| Some(*known) == code).map_or("unspecified", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_slashes_in_the_order_of_the_certificate() {
        assert_eq!(slashed("CN=app.example"), "/CN=app.example");
        assert_eq!(slashed("CN=a\\, b/c,O=Org,C=FR"), "/C=FR/O=Org/CN=a, b\\/c");
    }

    #[test]
    fn a_common_name_is_found_alone_and_in_a_dn() {
        for text in
            ["app.example", "/CN=app.example", "/C=FR/CN=app.example/O=Org", "CN=app.example", "cn=app.example,O=x"]
        {
            assert_eq!(common_name(text), "app.example", "{text}");
        }
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(time(UnixTime(1_795_392_000)), "2026-11-23T00:00:00Z");
    }
}
