//! Which PKCS#11 modules there are on this host, and what each shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ask::Ask;
use crate::pkcs11::{Library, Seen, TokenConfig};

/// Lets the operator choose among the modules that are found. The default is the first one with a token
/// that is free for us, and SoftHSM where there is none.
pub(super) fn choose(ask: &mut Ask) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let found = find();
    for module in &found {
        ask.say(&format!("{}: {}", module.display(), shows(module)));
    }
    let hardware = found.iter().find(|module| !is_softhsm(module) && free(module));
    let default = hardware.or_else(|| found.iter().find(|module| is_softhsm(module)));
    let default = default.map(|module| module.display().to_string()).ok_or(
        "there is no PKCS#11 module on this host: install that of your token and name it with --module, or to try \
         Signet without hardware: apt-get install softhsm2",
    )?;
    Ok(ask.text(None, "module", "PKCS#11 module", &default)?.into())
}

/// Modules at the places where packages put them, each once.
fn find() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for place in PLACES.iter().map(Path::new).filter(|place| place.exists()) {
        let real = std::fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
        if !found.iter().any(|known| std::fs::canonicalize(known).is_ok_and(|known| known == real)) {
            found.push(place.to_owned());
        }
    }
    found
}

fn shows(module: &Path) -> String {
    if is_softhsm(module) {
        return "SoftHSM: tokens in files, for trials".to_owned();
    }
    match tokens(module) {
        Err(why) => format!("cannot be used: {why}"),
        Ok(tokens) if tokens.is_empty() => "shows no token".to_owned(),
        Ok(tokens) => tokens.iter().map(describe).collect::<Vec<_>>().join("; "),
    }
}

fn describe(token: &Seen) -> String {
    match &token.label {
        Some(label) => format!("`{label}` ({})", token.model),
        None => format!("a token that is not initialised ({})", token.model),
    }
}

/// Whether the ceremony finds a token that it may initialise.
fn free(module: &Path) -> bool {
    tokens(module).is_ok_and(|tokens| tokens.iter().any(|token| token.label.is_none()))
}

fn tokens(module: &Path) -> Result<Vec<Seen>, String> {
    let config = TokenConfig {
        module,
        arguments: None,
        environment: &BTreeMap::new(),
        uri: "",
        sessions: 1,
        deadline: Duration::from_secs(10),
    };
    let library = Library::load(&config).map_err(|error| error.to_string())?;
    library.start(None).and_then(|survey| survey.tokens()).map_err(|error| error.to_string())
}

fn is_softhsm(module: &Path) -> bool {
    module.file_name().is_some_and(|name| name.to_string_lossy().contains("softhsm"))
}

/// Where Debian, Fedora and makers put their modules.
const PLACES: [&str; 12] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib64/opensc-pkcs11.so",
    "/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so",
    "/usr/lib64/pkcs11/yubihsm_pkcs11.so",
    "/opt/nfast/toolkits/pkcs11/libcknfast.so",
    "/opt/safenet/lunaclient/lib/libCryptoki2_64.so",
    "/usr/safenet/lunaclient/lib/libCryptoki2_64.so",
    "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so",
    "/opt/utimaco/p11/libcs_pkcs11_R3.so",
];
