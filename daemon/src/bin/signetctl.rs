//! `signetctl`: what an administrator types.

fn main() {}
