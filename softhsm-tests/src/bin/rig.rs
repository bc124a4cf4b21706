//! `rig`: a whole Signet in one directory, for developers, tests, the demo and bug reports.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use softhsm_tests::rig::{self, Engine, Failure, Layout, Options, Start};

/// A whole Signet in one directory.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make tokens, hold the ceremony, start the daemons, unseal; return when ready
    Up(Up),
    /// Stop everything that `up` started; the directory stays
    Down {
        /// The rig's directory
        #[arg(long)]
        dir: PathBuf,
    },
    /// Run the daemons in the foreground; what `up` starts
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        owner: Option<u32>,
    },
}

#[derive(Args)]
struct Up {
    /// The rig's directory; made if it is not there
    #[arg(long)]
    dir: PathBuf,
    /// Engine of the store
    #[arg(long)]
    engine: Option<Engine>,
    /// Where ACME is served
    #[arg(long, value_name = "127.0.0.1:PORT")]
    listen: Option<SocketAddr>,
    /// Port to which http-01 connects
    #[arg(long, value_name = "PORT")]
    http01_port: Option<u16>,
    /// Port to which tls-alpn-01 connects
    #[arg(long, value_name = "PORT")]
    tls01_port: Option<u16>,
    /// Resolver that validation asks; without one the rig's own, which answers what `DIR/dns.zone` says,
    /// and without that file that every name is at 127.0.0.1
    #[arg(long, value_name = "127.0.0.1:PORT")]
    dns: Option<SocketAddr>,
    /// Profile of an order that names none
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Surface to serve beside ACME, such as `upki`; may be repeated
    #[arg(long = "surface", value_name = "NAME")]
    surfaces: Vec<String>,
    /// Do not unseal
    #[arg(long)]
    sealed: bool,
}

fn main() -> ExitCode {
    let outcome = match Command::parse().verb {
        Verb::Up(arguments) => up(arguments),
        Verb::Down { dir } => Layout::new(&dir).and_then(|layout| rig::down(&layout)),
        Verb::Supervise { dir, owner } => programs().and_then(|programs| {
            let layout = Layout::new(&dir)?;
            rig::supervise(&layout, &programs, owner)
        }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("rig: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn up(arguments: Up) -> Result<(), Failure> {
    let layout = Layout::new(&arguments.dir)?;
    let options = Options {
        engine: arguments.engine,
        listen: arguments.listen,
        http01_port: arguments.http01_port,
        tls01_port: arguments.tls01_port,
        dns: arguments.dns,
        profile: arguments.profile,
        surfaces: Some(arguments.surfaces).filter(|surfaces| !surfaces.is_empty()),
        start: if arguments.sealed { Start::Sealed } else { Start::Unsealed },
        ..Options::default()
    };
    rig::up(&layout, &options, &programs()?, None).inspect_err(|_| {
        for log in rig::logs(&layout) {
            eprintln!("{}: {}", log.display(), rig::tail(&log).lines().last().unwrap_or_default());
        }
    })
}

fn programs() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| format!("the path of this program: {error}"))?;
    Ok(own.parent().map(PathBuf::from).unwrap_or_default())
}
