//! `signet-signer`: owns one PKCS#11 token. The program is in the library; here it gets its clock
//! and its generator.

use std::process::ExitCode;
use std::sync::Arc;

use hsm::cli::{self, Effects};
use hsm::signer::os::{SystemClock, SystemEntropy};

fn main() -> ExitCode {
    cli::main(Effects { clock: Arc::new(SystemClock), entropy: Box::new(SystemEntropy) })
}
