//! Contacts of accounts (RFC 8555 section 7.3): mailto without header fields and with one address.

use policy::name::DnsName;

use super::error::AcmeError;

/// Most contacts of an account, and the longest of them: room for a team, not for a dump.
const MAX_CONTACTS: usize = 10;
const MAX_CONTACT: usize = 320;

/// Refuses contacts that nobody could be reached under.
pub(super) fn check(contacts: &[String]) -> Result<(), AcmeError> {
    if contacts.len() > MAX_CONTACTS {
        return Err(AcmeError::InvalidContact(format!("an account has at most {MAX_CONTACTS} contacts")));
    }
    for contact in contacts {
        let shown: String = contact.chars().take(64).collect();
        let Some((scheme, address)) = contact.split_once(':') else {
            return Err(AcmeError::InvalidContact(format!("the contact `{shown}` is not a URL")));
        };
        if !scheme.eq_ignore_ascii_case("mailto") {
            return Err(AcmeError::UnsupportedContact(format!("the contact `{shown}` is not a mailto URL")));
        }
        let good = contact.len() <= MAX_CONTACT
            && address.bytes().all(|octet| octet.is_ascii_graphic() && !b"?,;<>()[]\\\":%".contains(&octet))
            && address.split_once('@').is_some_and(|(local, domain)| {
                let domain = DnsName::parse(&domain.to_ascii_lowercase());
                !local.is_empty() && domain.is_ok_and(|name| !name.is_wildcard())
            });
        if !good {
            return Err(AcmeError::InvalidContact(format!(
                "the contact `{shown}` is not `mailto:` and one address, without header fields"
            )));
        }
    }
    Ok(())
}
