//! `signetctl`: what an administrator types.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::ctl::run()
}
