//! `signet-signer doctor`: why a token does not work, looked at step by step.

mod access;
mod report;

use std::path::{Path, PathBuf};

use clap::Args;
use policy::key::KeyAlgorithm;
use policy::tbs::Certificate;

use super::{Effects, Outcome, pin};
use crate::ceremony::{Guise, SigningConsole, read_certificate};
use crate::config::Config;
use crate::pkcs11::{Library, PinState, Survey, TokenConfig};
use crate::seal::Attempts;
use report::{Report, Stop};

#[derive(Args)]
pub(super) struct Arguments {
    /// The signer's configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/signet/signer-ca.toml")]
    config: PathBuf,
    /// Log in too, once, with the PIN in this file, and let each key sign; the signer must be stopped
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// The same, with a PIN that is asked for
    #[arg(long, conflicts_with = "pin_file")]
    login: bool,
    /// Write JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Looks until something is wrong. Without a PIN, none is tried; with one, it is tried once.
pub(super) fn main(arguments: &Arguments, mut effects: Effects) -> Outcome {
    let mut report = Report::new(arguments.json);
    let examined = examine(arguments, &mut effects, &mut report);
    report.end()?;
    examined.map_err(|Stop(step)| format!("the step `{step}` failed: put it right, and look again").into())
}

fn examine(arguments: &Arguments, effects: &mut Effects, report: &mut Report) -> Result<(), Stop> {
    let config = report.step("configuration", || {
        let config = Config::read(&arguments.config)?;
        Ok((format!("{}: {}, {}", arguments.config.display(), config.name, config.token), config))
    })?;
    report.step("module file", || Ok((access::module(&config.module)?, ())))?;
    let certificates = report.step("certificates", || certificates(&config))?;
    report.step("permissions", || Ok((access::permissions(&config)?, ())))?;
    let pin = survey(&config, &certificates, report)?;
    if arguments.login || arguments.pin_file.is_some() {
        report.step("login", || Ok((login(config, arguments, pin, effects)?, ())))?;
    } else {
        report.note("login", "not tried: name --pin-file or --login to try the PIN once, with the signer stopped");
    }
    Ok(())
}

/// What the module shows without a PIN, with the rights that the signer has.
fn survey(config: &Config, certificates: &[Known], report: &mut Report) -> Result<PinState, Stop> {
    let wanted = token_config(config);
    let _guise = report.step("account", || {
        let owner = access::owner(&config.state)?;
        Ok((format!("looked at as {owner}"), Guise::of(&config.state)?))
    })?;
    let library =
        report.step("load", || Ok((format!("{} is a library", config.module.display()), Library::load(&wanted)?)))?;
    let module: Survey = report.step("initialise", || {
        let module = library.start(config.module_arguments.as_deref())?;
        Ok((module.about()?, module))
    })?;
    report.step("slots", || {
        let labels: Vec<String> = module
            .tokens()?
            .into_iter()
            .map(|token| {
                token.label.map_or_else(|| "one that is not initialised".to_owned(), |label| format!("`{label}`"))
            })
            .collect();
        match labels.as_slice() {
            [] => Err("the module shows no token: connect it, or correct `module` and `environment`".into()),
            labels => Ok((labels.join(", "), ())),
        }
    })?;
    let token = report.step("token", || {
        let token = module.find(&config.token)?;
        Ok((token.about(), token))
    })?;
    let pin = report.step("PIN", || {
        let wrong = Attempts::open(&config.state)?.wrong();
        Ok((pin_state(token.pin(), wrong)?, token.pin()))
    })?;
    for known in certificates {
        let step = format!("mechanism of {}", known.label);
        report.step(&step, || Ok((token.signs(known.algorithm, known.bits)?, ())))?;
    }
    Ok(pin)
}

/// A key whose kind is known before a login.
struct Known {
    label: String,
    algorithm: KeyAlgorithm,
    bits: usize,
}

fn certificates(config: &Config) -> Result<(String, Vec<Known>), Box<dyn std::error::Error>> {
    crate::signer::console::check(config)?;
    let known = |label: &str, certificate: &Certificate| {
        let key = certificate.key().map_err(|error| format!("the certificate of `{label}`: {error}"))?;
        Ok::<_, String>(Known { label: label.to_owned(), algorithm: key.algorithm(), bits: key.bits().into() })
    };
    let mut all = Vec::new();
    for key in &config.keys {
        if let Some(file) = &key.certificate {
            all.push(known(&key.label, &read_certificate(file)?)?);
        }
    }
    Ok((format!("{} of {} keys have one", all.len(), config.keys.len()), all))
}

fn pin_state(state: PinState, wrong: u32) -> Result<String, String> {
    let so = "with the security officer's PIN and the token's own tools";
    match state {
        PinState::Locked => Err(format!("the token has locked the PIN: reset it {so}")),
        PinState::Missing => Err(format!("the token has no user PIN: set one {so}")),
        PinState::ToBeChanged => Err("the token wants the PIN changed first: use its own tools".to_owned()),
        PinState::FinalTry => {
            Ok(format!("ONE TRY LEFT: the next wrong PIN locks the token ({wrong} wrong ones counted)"))
        }
        PinState::CountLow => Ok(format!("a wrong PIN was tried since the last right one ({wrong} counted)")),
        PinState::Good => Ok(format!("set and not locked; {wrong} wrong ones since the last right one")),
    }
}

fn login(
    config: Config,
    arguments: &Arguments,
    state: PinState,
    effects: &mut Effects,
) -> Result<String, Box<dyn std::error::Error>> {
    if state == PinState::FinalTry {
        return Err(
            "the next wrong PIN locks the token, so none was tried: unseal with one that you are sure of".into()
        );
    }
    let what = format!("PIN of the token {}", config.token);
    let stored = arguments.pin_file.as_deref().map(|file| pin::get(Some(file), &what, pin::Confirm::No)).transpose()?;
    let locked = SigningConsole::lock(config, effects.clock.clone(), effects.entropy.as_mut())?;
    let pin = stored.map_or_else(|| pin::get(None, &what, pin::Confirm::No), Ok)?;
    Ok(format!("the PIN is right, and each key signs: {}", locked.rehearse(pin)?.join(", ")))
}

fn token_config(config: &Config) -> TokenConfig<'_> {
    crate::signer::token_config(config)
}

/// A path as a person reads it, and what is wrong with it.
fn wrong(path: &Path, what: impl std::fmt::Display) -> String {
    format!("{}: {what}", path.display())
}
