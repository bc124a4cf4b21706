//! `signetd` and `signetctl`: the network, the store and the validation of names; no key.
//!
//! Direction of imports: `bin → boot → http → api → service → {issuance, revocation, validation}
//! → {store, hsm::client} → policy`.
#![forbid(unsafe_code)]

pub mod api;
pub mod boot;
pub mod cli;
pub mod config;
pub mod ctl;
pub mod current;
pub mod histogram;
pub mod http;
pub mod issuance;
pub mod problem;
pub mod revocation;
pub mod service;
pub mod shape;
pub mod store;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod validation;
