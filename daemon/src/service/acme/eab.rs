//! What an account may order beyond what a profile says.

use policy::name::Name;

use super::Acme;
use super::accounts::Account;
use super::error::AcmeError;

impl Acme {
    /// Whether the account may order these names from this profile. Asked at newOrder, and again
    /// before a certificate is signed. An account without an external account key is not bound.
    pub fn within_bounds(&self, account: &Account, names: &[Name], profile: &str) -> Result<(), AcmeError> {
        match &account.record.binding {
            None => Ok(()),
            Some(binding) => Err(AcmeError::Unauthorized(format!(
                "the external account key `{}` allows nothing: {} name(s) from `{profile}` were ordered",
                binding.key,
                names.len()
            ))),
        }
    }
}
