//! `signetd`: the network, the store and the validation of names; no key.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The network side of the Signet certificate authority.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Let the store follow the CA signer's new journal, because the old one is lost for good; signetd must be stopped
    AcceptJournal {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// Id of the new journal, as `signetctl status` shows it
        id: String,
    },
    /// Read the configuration and what it points at, say whether it is good, and change nothing
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
    /// Take over the status of another system's certificates, whose issuing key moved here; signetd must be stopped
    ///
    /// FILE is the database of `openssl ca` (index.txt): flag (V, R, E), expiry, revocation and reason, serial number,
    /// file name, subject, with tabs between them. It is read a line at a time, and can be imported again.
    Import {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The database
        #[arg(value_name = "FILE")]
        index: PathBuf,
    },
    /// Build the indexes of the certificates anew, if searches miss some; signetd must be stopped
    Reindex {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
    /// Serve until told to stop (SIGTERM or SIGINT)
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
}

const CONFIG: &str = "/etc/signet/signetd.toml";

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::AcceptJournal { config, id } => daemon::boot::accept_journal(&config, &id).map(|done| println!("{done}")),
        Verb::Check { config } => daemon::boot::check(&config).map(|found| println!("{found}")),
        Verb::Import { config, index } => daemon::boot::import(&config, &index).map(|done| println!("{done}")),
        Verb::Reindex { config } => daemon::boot::reindex(&config).map(|done| println!("{done}")),
        Verb::Run { config } => daemon::boot::run(&config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signetd: {error}");
            ExitCode::FAILURE
        }
    }
}
