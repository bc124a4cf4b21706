//! Requests that no client sends.

pub(crate) fn run() {}
