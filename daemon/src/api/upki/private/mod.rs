//! What administrators may do, known by their certificates.

pub(super) mod admins;
pub(super) mod config;
pub(super) mod crl;
pub(super) mod nodes;
pub(super) mod options;
