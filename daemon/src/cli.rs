//! The command line of `signetd`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::boot;

/// The command line, as manual pages and completions describe it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs the verb that the command line names. Exit code 0: done; 1: refused or failed, with one
/// sentence on stderr; 2: the command line is wrong.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::AcceptJournal { config, id } => boot::accept_journal(&config, &id).map(|done| println!("{done}")),
        Verb::Backup { config, signer, out } => {
            boot::backup(&config, &signer, &out).map(|done| println!("{done}")).map_err(Into::into)
        }
        Verb::Check { config } => boot::check(&config).map(|found| println!("{found}")),
        Verb::Import { config, form, certificates, dry_run, file } => {
            let foreign = boot::Foreign { file: &file, form, certificates: certificates.as_deref() };
            let import = if dry_run { boot::rehearse_import } else { boot::import };
            import(&config, &foreign).map(|done| println!("{done}"))
        }
        Verb::Reindex { config } => boot::reindex(&config).map(|done| println!("{done}")),
        Verb::Restore { config, signer, from } => {
            boot::restore(&config, &signer, &from).map(|done| println!("{done}")).map_err(Into::into)
        }
        Verb::Run { config } => boot::run(&config),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signetd: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The network side of the Signet certificate authority.
#[derive(Parser)]
#[command(name = "signetd", version)]
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
    /// Copy store and journal, while Signet runs or not; as root on the host
    ///
    /// The copy is one of a moment: what the journal has more than the store is taken over when a restored store is started.
    /// A store of the engine sled can be copied only while signetd is stopped. Tokens and /etc/signet are not in the copy.
    Backup {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The CA signer's configuration file, which says where the journal is
        #[arg(long, value_name = "FILE", default_value = SIGNER)]
        signer: PathBuf,
        /// A directory that is made, for root alone
        out: PathBuf,
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
    /// Example: signetd import --form certmaker --certificates data/leafcerts --dry-run data/data.db
    Import {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// Whose database it is
        #[arg(long, value_enum, default_value = "openssl")]
        form: boot::Form,
        /// CertMaker's directory leafcerts: its files say how long certificates last
        #[arg(long, value_name = "DIR")]
        certificates: Option<PathBuf>,
        /// Say what would be taken over, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// The database
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Build the indexes of the certificates anew, if searches miss some; signetd must be stopped
    Reindex {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
    /// Put a backup on a host that has no store and no journal; as root, with Signet stopped
    ///
    /// Tokens and /etc/signet are there already. It says how store and journal differ, and starts nothing: the host is sealed.
    Restore {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// The CA signer's configuration file, which says where the journal goes
        #[arg(long, value_name = "FILE", default_value = SIGNER)]
        signer: PathBuf,
        /// The directory that `signetd backup` made
        from: PathBuf,
    },
    /// Serve until told to stop (SIGTERM or SIGINT)
    Run {
        /// The configuration file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
}

const CONFIG: &str = "/etc/signet/signetd.toml";
const SIGNER: &str = "/etc/signet/signer-ca.toml";
