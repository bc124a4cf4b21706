//! `signetd`: the network, the store and the validation of names; no key.

fn main() {}
