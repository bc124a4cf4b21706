//! The rig, and what the end-to-end tests share.
#![forbid(unsafe_code)]

pub mod acme;
pub mod clients;
pub mod dns;
pub mod files;
pub mod ports;
pub mod powercut;
pub mod programs;
pub mod rig;
pub mod supervisor;
pub mod wait;
