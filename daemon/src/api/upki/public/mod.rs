//! What anybody may ask.

pub(super) mod ca;
pub(super) mod certify;
pub(super) mod certs;
pub(super) mod crl;
pub(super) mod health;
pub(super) mod magic;
pub(super) mod ocsp;
pub(super) mod profiles;
