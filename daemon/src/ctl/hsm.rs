//! `signetctl hsm`: the token, looked at on the appliance itself. `signet-signer` knows it; this is
//! where people look for it.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::Subcommand;

use super::CtlError;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Why a token does not work, step by step; on the appliance, as root, while Signet runs or not
    #[command(disable_help_flag = true)]
    Doctor {
        /// What `signet-signer doctor` takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
    },
}

/// Becomes `signet-signer doctor`; returns only if that cannot be.
pub(super) fn run(verb: &Verb, json: bool) -> CtlError {
    let Verb::Doctor { arguments } = verb;
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(SIGNER));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| SIGNER.into());
    let error = Command::new(&program).arg("doctor").args(arguments).args(json.then_some("--json")).exec();
    CtlError::Failed(format!("{}: {error}: run this on the appliance", program.display()))
}

const SIGNER: &str = "signet-signer";
