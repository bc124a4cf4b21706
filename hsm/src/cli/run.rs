//! `signet-signer run`: the service, in the order of its confinement (design section 9).

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Effects, OfConfig, Outcome};
use crate::config::Config;
use crate::confine::{self, Measure, Program, Rules, Secrets};
use crate::signer::{self, Ended};

pub(super) fn main(of: &OfConfig, effects: Effects) -> Outcome {
    log();
    let config = Config::read(&of.config)?;
    let rules = rules(&config);
    let calls = config.hardening.clone();
    let prepared = signer::prepare(config, effects.clock, effects.entropy)?;
    let hardening = confine::process(&rules)?;
    for lack in hardening.iter().filter_map(Measure::lack) {
        tracing::warn!(event = "confinement", lack, "not confined");
    }
    let loaded = prepared.load()?;
    match loaded.serve(hardening, || confine::seccomp(Program::Signer, &calls))? {
        Ended::Restart(why) => Err(why.into()),
        Ended::Sealed | Ended::Stopped => Ok(()),
    }
}

/// What a signer keeps: it reads its profiles and its module, writes its state and what the module
/// writes, and has no network unless its token is behind one.
fn rules(config: &Config) -> Rules {
    // Their directories: a file that replaces another is another file.
    let keys = config.keys.iter().filter_map(|key| key.certificate.as_deref()?.parent().map(Path::to_owned));
    // Such as SOFTHSM2_CONF: modules read files that their environment names.
    let named = config.environment.values().map(PathBuf::from).filter(|path| path.is_absolute());
    let module = config.module.parent().map(Path::to_owned);
    Rules {
        user: config.user.clone(),
        read: keys.chain(named).chain(module).chain(config.profiles.clone()).collect(),
        write: config.module_writes.iter().cloned().chain([config.state.clone()]).collect(),
        network: config.hardening.sockets,
        secrets: Secrets::Held,
        waived: config.hardening.waived.clone(),
    }
}

/// To the journal with its fields if systemd reads our stderr, as lines otherwise.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::registry().with(filter);
    match crate::log::journal() {
        Some(journal) => subscriber.with(journal).init(),
        None => {
            let colours = std::io::stderr().is_terminal();
            subscriber.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).init();
        }
    }
}
