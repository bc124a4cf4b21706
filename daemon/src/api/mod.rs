//! Surfaces: each parses, calls one service function, and renders. None imports another, nor the
//! store, nor the signer.

pub mod acme;
