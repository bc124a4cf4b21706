//! `signet-signer journal`: the audit log, read on the console or on a copy.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Outcome;
use crate::ceremony;
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Print entries, one JSON object a line
    Show {
        #[command(flatten)]
        which: Which,
        /// Leave out the entries up to this number
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: u64,
    },
    /// Check every entry, and name the first bad one
    Verify {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Directory of a journal, or of a copy of one
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Configuration file of the signer that writes it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn main(verb: &Verb) -> Outcome {
    match verb {
        Verb::Show { which, after } => {
            let mut out = std::io::stdout().lock();
            for line in ceremony::entries(&which.directory()?)? {
                let (entry, json) = line?;
                if entry.seq > *after {
                    writeln!(out, "{json}")?;
                }
            }
        }
        Verb::Verify { which } => {
            let summary = crate::journal::verify(&which.directory()?)?;
            println!(
                "ok: journal {}, {} entries in {} segment(s), {} to {}, last hash {}",
                summary.journal.0,
                summary.entries,
                summary.segments,
                ceremony::rfc3339(summary.first),
                ceremony::rfc3339(summary.last),
                summary.hash
            );
            if summary.torn > 0 {
                println!("the last line is not complete ({} octets): it was never acknowledged", summary.torn);
            }
        }
    }
    Ok(())
}

impl Which {
    fn directory(&self) -> Result<PathBuf, Box<dyn std::error::Error>> {
        match (&self.directory, &self.config) {
            (Some(directory), _) => Ok(directory.clone()),
            (None, Some(config)) => Ok(Config::read(config)?.state.join("journal")),
            (None, None) => Err("name the directory of a journal, or a configuration with --config".into()),
        }
    }
}
