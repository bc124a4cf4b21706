//! The rig, and what the end-to-end tests share.
#![forbid(unsafe_code)]
#![expect(clippy::panic, reason = "tests are made of this: what fails here is a test that fails")]

pub mod acme;
pub mod admin;

pub mod bench;
pub mod chaos;
pub mod clients;
pub mod dns;
pub mod files;
pub mod fuzz;
pub mod guest;
pub mod memory;
pub mod ports;
pub mod powercut;
pub mod programs;
pub mod rig;
pub mod supervisor;
pub mod verify;
pub mod wait;

/// Says that a test is skipped, and why, past the capture of output: `make test` counts these lines.
pub fn skipped(why: &str) {
    use std::io::Write;
    // Nobody to tell is no reason to fail.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
