//! Surfaces: each parses, calls one service function, and renders. None imports another, nor the
//! store, nor the signer.

pub mod access;
pub mod acme;
pub mod admin;
pub mod health;
pub mod metrics;
pub mod notary;
pub mod pki;
pub mod route;
pub mod secret;
pub mod time;
pub mod upki;
