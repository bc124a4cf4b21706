//! One PKCS#11 token, and the process that owns it.
//!
//! [`signer`] is the program: it answers the requests of [`wire`] as far as its seal state allows,
//! checks with `policy` what it is asked to sign, signs in the token (`pkcs11`), verifies,
//! writes its [`journal`] and only then releases. [`client`] is the other end of the socket, and
//! the only part of this crate that `signetd` uses to get something signed.

pub mod ceremony;
pub mod cli;
pub mod client;
pub mod config;
pub mod confine;
pub mod journal;
pub mod log;
mod pkcs11;
pub mod seal;
pub mod signer;
pub mod wire;
