//! The rig, and what the end-to-end tests share.
#![forbid(unsafe_code)]

pub mod files;
pub mod supervisor;
pub mod wait;
