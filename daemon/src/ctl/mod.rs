//! `signetctl`: what an administrator types. Each verb asks the admin surface one thing and shows
//! the answer as a table, or as JSON for programs.

mod acme;
mod administrators;
mod api;
mod authorities;
mod ca;
mod certificates;
mod client;
mod config;
mod crl;
mod events;
mod export;
mod hsm;
mod identity;
mod issue;
mod limits;
mod nodes;
mod ocsp;
mod pin;
mod profiles;
mod requests;
mod revoke;
mod seal;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use client::Client;
use identity::Identity;

/// Administers a Signet certificate authority over mutual TLS
#[derive(Parser)]
#[command(name = "signetctl", version, after_help = HELP)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Whom to talk to, as whom, and how to show the answer.
#[derive(Args)]
struct Global {
    /// Profile of your enrolment [default: $SIGNET_PROFILE, or signet/profile.toml in your configuration directory]
    #[arg(long, global = true, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Base URL of the appliance, instead of the profile's
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// PEM file with the root certificate, instead of the profile's
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file with your certificate, instead of the profile's
    #[arg(long, global = true, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// PEM file with your private key, instead of the profile's
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The appliance's identity (SHA-256, 64 hexadecimal digits), instead of the profile's
    #[arg(long, global = true, value_name = "SHA256")]
    identity: Option<String>,
    /// Write JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// ACME: accounts and external account keys
    #[command(subcommand)]
    Acme(acme::Verb),
    /// Administrators: add, renew, list, show, role, remove
    #[command(subcommand)]
    Admin(administrators::Verb),
    /// Write the description of the API to standard output: OpenAPI 3.1, for programs and generators
    Api,
    /// Issuing CAs and their certificates: list, show, create, sign, import, enable, disable, retire, revoke; what
    /// certificates name, and the first CA's going active: check, activate
    #[command(subcommand)]
    Ca(ca::Verb),
    /// Certificates: issue, renew, search, show, export, revoke, hold, release
    #[command(subcommand)]
    Cert(Box<certificates::Verb>),
    /// The configuration in force: show
    #[command(subcommand)]
    Config(config::Verb),
    /// Write a completion script for a shell to standard output
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Certificate revocation lists: status, publish
    #[command(subcommand)]
    Crl(crl::Verb),
    /// What happened: the CA signer's journal, as events
    Events(events::Events),
    /// Certificates that are good and soon over
    Expiring {
        /// How soon, such as 30d or 12h
        #[arg(long, default_value = "30d", value_parser = humantime::parse_duration)]
        within: std::time::Duration,
        /// At most so many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// The token, looked at on the appliance: doctor
    #[command(subcommand)]
    Hsm(hsm::Verb),
    /// Limits: list, explain, failing, release
    #[command(subcommand)]
    Limits(limits::Verb),
    /// Registered nodes and their one-time seeds: add, set, list, show, seed, delete
    #[command(subcommand)]
    Node(nodes::Verb),
    /// Answers about the status of certificates: status, presign
    #[command(subcommand)]
    Ocsp(ocsp::Verb),
    /// Profiles: list, show, check, explain
    #[command(subcommand)]
    Profile(profiles::Verb),
    /// Requests that wait for approval: list, show, create, approve, reject
    #[command(subcommand)]
    Request(requests::Verb),
    /// Seal: the CA's signer forgets the PIN, and nothing is issued until it is unsealed
    Seal,
    /// Show how the appliance is; works while sealed and with an expired certificate
    Status(status::Arguments),
    /// API tokens: create, list, show, enable, disable, lock, revoke
    #[command(subcommand)]
    Token(tokens::Verb),
    /// Unseal with the PIN of the CA's token; works with an expired certificate
    Unseal(seal::Unseal),
}

const HELP: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line is wrong
  3  the strongbox is sealed: unseal it first
  4  there is no such thing
  5  the appliance cannot be reached, or is not the one in the profile
  6  refused: not enrolled, expired, wrong PIN";

/// What every verb works with.
struct Session {
    client: Client,
    identity: Identity,
    json: bool,
}

/// Why a verb failed. Each is one sentence, and has an exit code of its own kind.
#[derive(Debug, thiserror::Error)]
enum CtlError {
    /// Anything else.
    #[error("{0}")]
    Failed(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// The appliance says no.
    #[error("{0}")]
    Refused(String),
    /// The strongbox is sealed.
    #[error("{0}")]
    Sealed(String),
    /// Nobody answers, or somebody else.
    #[error("{0}")]
    Unreachable(String),
}

impl CtlError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Sealed(_) => 3,
            Self::Missing(_) => 4,
            Self::Unreachable(_) => 5,
            Self::Refused(_) => 6,
        }
    }
}

/// The command line, as manual pages and completions describe it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs what the command line says; errors are one sentence on standard error.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("signetctl: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn perform(arguments: Arguments) -> Result<(), CtlError> {
    let global = arguments.global;
    match &arguments.verb {
        Verb::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "signetctl", &mut script);
            return table::write(&String::from_utf8_lossy(&script));
        }
        Verb::Hsm(verb) => return Err(hsm::run(verb, global.json)),
        // A file can be checked before there is an appliance.
        Verb::Profile(profiles::Verb::Check { files }) => return profiles::check(files, global.json),
        _ => {}
    }
    let json = global.json;
    let identity = Identity::load(global.into())?;
    let session = Session { client: Client::new(&identity)?, identity, json };
    match arguments.verb {
        Verb::Acme(verb) => acme::run(&session, &verb),
        Verb::Admin(verb) => administrators::run(&session, &verb),
        Verb::Api => api::run(&session),
        Verb::Ca(verb) => ca::run(&session, &verb),
        Verb::Cert(verb) => certificates::run(&session, &verb),
        Verb::Config(verb) => config::run(&session, &verb),
        Verb::Crl(verb) => crl::run(&session, &verb),
        Verb::Events(asked) => events::run(&session, &asked),
        Verb::Expiring { within, limit } => certificates::expiring(&session, within, limit),
        Verb::Completion { .. } | Verb::Hsm(_) => Ok(()),
        Verb::Limits(verb) => limits::run(&session, &verb),
        Verb::Node(verb) => nodes::run(&session, &verb),
        Verb::Ocsp(verb) => ocsp::run(&session, &verb),
        Verb::Profile(verb) => profiles::run(&session, &verb),
        Verb::Request(verb) => requests::run(&session, &verb),
        Verb::Seal => seal::seal(&session),
        Verb::Status(arguments) => status::run(&session, &arguments),
        Verb::Token(verb) => tokens::run(&session, &verb),
        Verb::Unseal(unseal) => seal::unseal(&session, &unseal),
    }
}

impl From<Global> for identity::Flags {
    fn from(global: Global) -> Self {
        let Global { profile, url, ca, certificate, key, identity, json: _ } = global;
        Self { profile, url, ca, certificate, key, identity }
    }
}
