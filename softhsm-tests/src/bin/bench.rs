//! `bench`: measures a rig against the budgets of the design, and prints a table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use softhsm_tests::bench::{self, Each};
use softhsm_tests::rig::Failure;

/// Measures a rig against the budgets of the design.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// Full orders and nonces only
    Orders,
    /// CRLs, OCSP and revocation only
    Revocation,
    /// Searches only
    Searches {
        /// Certificates in the store [default: a million]
        #[arg(long)]
        certificates: Option<u32>,
    },
    /// The token's own rate, for the token that SOFTHSM2_CONF names
    #[command(hide = true)]
    OwnRate {
        #[arg(long)]
        sessions: usize,
        #[arg(long)]
        pin_file: PathBuf,
        #[arg(long)]
        certificate: PathBuf,
        #[arg(long)]
        each: Each,
    },
}

fn main() -> ExitCode {
    let outcome = match Command::parse().part {
        None => bench::run(),
        Some(Part::Orders) => bench::orders(),
        Some(Part::Revocation) => bench::revocation(),
        Some(Part::Searches { certificates }) => bench::searches(certificates),
        Some(Part::OwnRate { sessions, pin_file, certificate, each }) => {
            own_rate(&pin_file, &certificate, sessions, each)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn own_rate(pin_file: &Path, certificate: &Path, sessions: usize, each: Each) -> Result<(), Failure> {
    let pin = std::fs::read_to_string(pin_file).map_err(|error| format!("{}: {error}", pin_file.display()))?;
    println!("{}", bench::own_rate(pin.trim(), certificate, sessions, each)?);
    Ok(())
}
