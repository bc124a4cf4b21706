//! `signetd`: the network, the store and the validation of names; no key.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::cli::main()
}
