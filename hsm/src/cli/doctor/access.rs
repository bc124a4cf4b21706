//! Whether the signer's account reaches what its configuration names.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User, geteuid};

use super::wrong;
use crate::config::Config;

/// Looks at the file without loading it: that runs its code.
pub(super) fn module(path: &Path) -> Result<String, String> {
    let install = "install the token's PKCS#11 module, or correct `module`";
    let mut head = [0; 20];
    std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut head))
        .map_err(|error| wrong(path, format!("{error}: {install}")))?;
    if head[..4] != *b"\x7fELF" {
        return Err(wrong(path, format!("it is no shared library: {install}")));
    }
    // e_machine, in the byte order of the file.
    let machine = match head[5] {
        2 => u16::from_be_bytes([head[18], head[19]]),
        _ => u16::from_le_bytes([head[18], head[19]]),
    };
    if !MACHINES.contains(&(std::env::consts::ARCH, machine)) {
        let arch = std::env::consts::ARCH;
        return Err(wrong(path, format!("it is for another machine (ELF {machine}), this is {arch}: {install}")));
    }
    Ok(path.display().to_string())
}

/// Whether the account that owns the state directory can read and write what it must.
pub(super) fn permissions(config: &Config) -> Result<String, String> {
    let state = metadata(&config.state)?;
    let account = (state.uid(), state.gid());
    let user = geteuid();
    if !user.is_root() && user.as_raw() != state.uid() {
        return Err(wrong(&config.state, format!("it belongs to {}: run this as root", owner(&config.state)?)));
    }
    let environment = config.environment.values().map(Path::new).filter(|path| path.is_absolute());
    let certificates = config.keys.iter().filter_map(|key| key.certificate.as_deref());
    let read = environment.chain(certificates).chain(config.profiles.as_deref()).chain([config.module.as_path()]);
    for path in read {
        reach(path, account, READ)?;
    }
    for path in config.module_writes.iter().chain([&config.state]) {
        reach(path, account, READ | WRITE)?;
    }
    Ok(format!("{} reaches what the configuration names", owner(&config.state)?))
}

/// Name of the account that owns a path.
pub(super) fn owner(path: &Path) -> Result<String, String> {
    let uid = metadata(path)?.uid();
    Ok(User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or(uid.to_string(), |user| user.name))
}

/// Whether an account may do to `path` what `mode` says, and pass every directory above it.
fn reach(path: &Path, account: (u32, u32), mode: u32) -> Result<(), String> {
    let target = std::fs::canonicalize(path)
        .map_err(|error| wrong(path, format!("{error}: restore it, or correct the configuration")))?;
    let search = target.ancestors().skip(1).map(|above| (above, SEARCH));
    for (place, mode) in search.chain([(target.as_path(), mode)]) {
        if !allows(&metadata(place)?, account, mode) {
            let (name, what) = (
                owner_name(account.0),
                if mode == SEARCH {
                    "pass"
                } else if mode & WRITE != 0 {
                    "write"
                } else {
                    "read"
                },
            );
            return Err(wrong(place, format!("the account {name} may not {what} it: change its owner or its mode")));
        }
    }
    Ok(())
}

fn allows(meta: &Metadata, (uid, gid): (u32, u32), mode: u32) -> bool {
    let shift = match () {
        () if uid == 0 => return true,
        () if meta.uid() == uid => 6,
        () if meta.gid() == gid => 3,
        () => 0,
    };
    (meta.mode() >> shift) & mode == mode
}

fn owner_name(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or(uid.to_string(), |user| user.name)
}

fn metadata(path: &Path) -> Result<Metadata, String> {
    std::fs::metadata(path).map_err(|error| wrong(path, format!("{error}: run `signet-signer setup` first")))
}

const READ: u32 = 4;
const WRITE: u32 = 2;
const SEARCH: u32 = 1;

/// ELF machine numbers by architecture.
const MACHINES: [(&str, u16); 2] = [("x86_64", 62), ("aarch64", 183)];
