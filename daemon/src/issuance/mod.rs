//! One issuance, in the order of `docs/issuance.md`, and the CA signer it ends in.

pub mod ca;
