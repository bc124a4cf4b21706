//! `signetd` and `signetctl`: the network, the store and the validation of names; no key.
#![forbid(unsafe_code)]

pub mod store;
