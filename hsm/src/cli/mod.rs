//! The command line of `signet-signer`: verbs for the console, and `run` for systemd.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory, Parser, Subcommand};
use policy::effects::{Clock, Entropy};

use crate::ceremony::SigningConsole;
use crate::config::Config;

mod admin;
mod doctor;
mod init;
mod issue;
mod journal;
mod pin;
mod root_crl;
mod run;
mod setup;

/// Time and randomness, as `main` builds them.
pub struct Effects {
    /// The system's clock.
    pub clock: Arc<dyn Clock>,
    /// The system's generator.
    pub entropy: Box<dyn Entropy>,
}

/// The command line, as manual pages and completions describe it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the verb that the command line names. Exit code 0: done; 1: refused or failed, with one
/// sentence on stderr; 2: the command line is wrong.
pub fn main(effects: Effects) -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Admin { verb } => admin::main(verb, effects),
        Verb::Check(of) => check(&of),
        Verb::Doctor(arguments) => doctor::main(&arguments, effects),
        Verb::Init(arguments) => init::main(&arguments, effects),
        Verb::Issue(arguments) => issue::main(&arguments, effects),
        Verb::Journal { verb } => journal::main(&verb),
        Verb::RootCrl(arguments) => root_crl::main(&arguments, effects),
        Verb::Run(of) => run::main(&of, effects),
        Verb::Setup(arguments) => setup::main(*arguments, effects),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signet-signer: {}", sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Owns one PKCS#11 token of a Signet appliance: the key ceremony, the service, and the console.
#[derive(Parser)]
#[command(name = "signet-signer", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Enrol or list administrators on the console
    Admin {
        #[command(subcommand)]
        verb: admin::Verb,
    },
    /// Check a configuration file, and the module, profiles and certificates that it names
    Check(OfConfig),
    /// Why a token does not work: file, permissions, module, slot, label, PIN, mechanisms, one after the other
    ///
    /// It stops at the first step that fails, and says what to do. Without --pin-file and --login no PIN is tried; with one
    /// of them it is tried once, and never when the token says that the next wrong one locks it.
    Doctor(doctor::Arguments),
    /// The key ceremony: tokens, keys, certificates, the first administrator
    Init(Box<init::Arguments>),
    /// Sign one certificate on the console
    Issue(issue::Arguments),
    /// Verify or print a journal
    Journal {
        #[command(subcommand)]
        verb: journal::Verb,
    },
    /// Sign the root's CRL, with its token attached and the CA signer stopped
    RootCrl(root_crl::Arguments),
    /// Serve (what the systemd unit runs)
    Run(OfConfig),
    /// The guided first run: finds the module, holds the ceremony, writes the configuration, says what comes next
    ///
    /// It asks what the ceremony has to know, and every answer can be given as a flag. Nothing is ever overwritten.
    Setup(Box<setup::Arguments>),
}

#[derive(Args)]
struct OfConfig {
    /// The signer's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn check(of: &OfConfig) -> Outcome {
    crate::signer::console::check(&Config::read(&of.config)?)?;
    println!("ok");
    Ok(())
}

/// What the console verbs that sign have in common: the PIN's file, which may be root's alone, then
/// the journal, whose lock says whether the service runs, and then the PIN if it is typed. Drop the
/// console before anything is written as root.
fn console(
    config: &Path,
    pin_file: Option<&Path>,
    effects: &mut Effects,
) -> Result<SigningConsole, Box<dyn std::error::Error>> {
    let config = Config::read(config)?;
    let ask = |file| pin::get(file, "PIN of the CA token", pin::Confirm::No);
    let stored = pin_file.map(|file| ask(Some(file))).transpose()?;
    let locked = SigningConsole::lock(config, effects.clock.clone(), effects.entropy.as_mut())?;
    let pin = stored.map_or_else(|| ask(None), Ok)?;
    Ok(locked.open(pin)?)
}

/// An error and its sources, without saying anything twice.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}
