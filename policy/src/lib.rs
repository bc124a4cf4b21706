//! What Signet may sign, decided without I/O, async, a clock or unsafe code.
//!
//! A request enters as foreign bytes, is parsed once into the types of [`name`], [`key`] and
//! [`csr`], is judged against a [`profile`], and leaves as to-be-signed bytes ([`tbs`]) that
//! every [`lint`] has read. Time and randomness come in through [`effects`].
#![forbid(unsafe_code)]

mod asn1;
pub mod authority;
pub mod crl;
pub mod csr;
pub mod effects;
pub mod evidence;
pub mod grant;
pub mod key;
pub mod lint;
pub mod name;
pub mod ocsp;
pub mod profile;
mod punycode;
pub mod registration;
pub mod rights;
pub mod serial;
pub mod tbs;
#[cfg(test)]
mod testing;
mod time;
mod tlv;
pub mod validity;
