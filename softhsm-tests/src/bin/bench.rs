//! `bench`: measures a rig against the budgets of the design, and prints a table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use softhsm_tests::bench;
use softhsm_tests::rig::{Failure, MODULE};

/// Measures a rig against the budgets of the design.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// The token's own rate, for the token that SOFTHSM2_CONF names
    #[command(hide = true)]
    OwnRate {
        #[arg(long)]
        sessions: usize,
        #[arg(long)]
        pin_file: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Command::parse().part {
        None => bench::run(),
        Some(Part::OwnRate { sessions, pin_file }) => own_rate(sessions, &pin_file),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn own_rate(sessions: usize, pin_file: &Path) -> Result<(), Failure> {
    let pin = std::fs::read_to_string(pin_file).map_err(|error| format!("{}: {error}", pin_file.display()))?;
    println!("{}", bench::own_rate(Path::new(MODULE), pin.trim(), sessions)?);
    Ok(())
}
