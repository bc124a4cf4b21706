//! `signet-signer run`: the service, in the order of its confinement (design section 9).

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Effects, OfConfig, Outcome};
use crate::config::Config;
use crate::confine::{self, Network, Program, Rules};
use crate::signer::{self, Ended};

pub(super) fn main(of: &OfConfig, effects: Effects) -> Outcome {
    log();
    let config = Config::read(&of.config)?;
    let rules = rules(&config);
    let prepared = signer::prepare(config, effects.clock, effects.entropy)?;
    let unconfined = confine::process(&rules)?;
    for sentence in &unconfined {
        tracing::warn!("not confined: {sentence}");
    }
    let loaded = prepared.load()?;
    match loaded.serve(unconfined, || confine::seccomp(Program::Signer))? {
        Ended::Restart(why) => Err(why.into()),
        Ended::Sealed | Ended::Stopped => Ok(()),
    }
}

/// What a signer keeps: it reads its profiles and its module, writes its state and what the module
/// writes, and has no network.
fn rules(config: &Config) -> Rules {
    let keys = config.keys.iter().filter_map(|key| key.certificate.clone());
    // Such as SOFTHSM2_CONF: modules read files that their environment names.
    let named = config.environment.values().map(PathBuf::from).filter(|path| path.is_absolute());
    let module = config.module.parent().map(Path::to_owned);
    Rules {
        user: config.user.clone(),
        read: keys.chain(named).chain(module).chain(config.profiles.clone()).collect(),
        write: config.module_writes.iter().cloned().chain([config.state.clone()]).collect(),
        network: Network::Refused,
    }
}

/// To the journal with its fields if systemd reads our stderr, as lines otherwise. Its socket is
/// made here, before there is a filter.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::registry().with(filter);
    let journald = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    match journald {
        Some(journald) => subscriber.with(journald).init(),
        None => {
            let colours = std::io::stderr().is_terminal();
            subscriber.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).init();
        }
    }
}
