//! Writes to a store until it is killed, and says on standard output what is durable. The power-cut
//! tests run it; see `softhsm_tests::powercut`.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use daemon::store::EngineKind;
use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter_all_threads};
use softhsm_tests::powercut::load;

/// Writes to a store until it is killed.
#[derive(Parser)]
struct Arguments {
    /// sled or sqlite.
    #[arg(value_parser = engine)]
    engine: EngineKind,
    /// The store's directory.
    directory: PathBuf,
    /// Let fsync and fdatasync succeed and do nothing.
    #[arg(long)]
    fsync_lies: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result =
        if arguments.fsync_lies { let_fsync_lie() } else { Ok(()) }.map_err(|error| error.to_string()).and_then(|()| {
            load::write(arguments.engine, &arguments.directory, io::stdout()).map_err(|error| error.to_string())
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("powercut-writer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn engine(name: &str) -> Result<EngineKind, String> {
    match name {
        "sled" => Ok(EngineKind::Sled),
        "sqlite" => Ok(EngineKind::Sqlite),
        _ => Err("the engines are sled and sqlite".to_owned()),
    }
}

fn let_fsync_lie() -> Result<(), Box<dyn std::error::Error>> {
    let rules = BTreeMap::from([(libc::SYS_fsync, Vec::new()), (libc::SYS_fdatasync, Vec::new())]);
    // Error number 0 is success.
    let lie = SeccompAction::Errno(0);
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let program = BpfProgram::try_from(SeccompFilter::new(rules, SeccompAction::Allow, lie, architecture)?)?;
    Ok(apply_filter_all_threads(&program)?)
}
