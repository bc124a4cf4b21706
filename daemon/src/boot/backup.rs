//! `signetd backup` and `signetd restore`: copies of store and journal, made on the host by root.
//!
//! The store is copied first, at one moment; the journal after it. So the journal of a backup is never behind its store, and
//! what it has more is taken over at the next start, as after a crash (J3).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hsm::ceremony::Guise;
use hsm::journal::{self, Summary};
use nix::fcntl::OFlag;

use super::engine;
use crate::config::Config;
use crate::store::tables::JOURNALS;
use crate::store::{self, EngineKind, Store};

/// Why there is no backup, or no restored host. One sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BackupError(String);

/// Where a host has what is backed up.
struct Host {
    engine: EngineKind,
    store: PathBuf,
    /// The CA signer's state directory.
    state: PathBuf,
}

/// Copies store and journal to `out`, a directory that is made. SQLite is copied while `signetd` runs; sled cannot be.
/// Returns a sentence that says what was copied.
pub fn backup(config: &Path, signer: &Path, out: &Path) -> Result<String, BackupError> {
    let host = Host::read(config, signer)?;
    make(out)?;
    let staging = host.store.join(STAGING);
    let copied = as_owner(&host.store, || {
        // What an earlier backup left when it was interrupted.
        let _ = fs::remove_dir_all(&staging);
        make(&staging)?;
        store::snapshot(host.engine, &host.store, &staging).map_err(|error| BackupError(error.to_string()))
    })
    .and_then(|()| copy(&staging, &host.store, &out.join("store"), None, |_| true));
    let _ = as_owner(&host.store, || fs::remove_dir_all(&staging).map_err(|error| fault(&staging, &error)));
    copied?;
    if host.store.join(CRLS).is_dir() {
        copy(&host.store.join(CRLS), &host.store, &out.join("store").join(CRLS), None, |_| true)?;
    }
    copy(&host.journal(), &host.state, &out.join("journal"), None, is_segment)?;
    let (summary, position) = compare(host.engine, out)?;
    Ok(format!("{}: copied: {}", out.display(), difference(&summary, position)))
}

/// Puts a backup on a host that has neither store nor journal; tokens and `/etc/signet` are there. Nothing is started, and
/// what is started comes up sealed. Returns a sentence that says how store and journal differ.
pub fn restore(config: &Path, signer: &Path, from: &Path) -> Result<String, BackupError> {
    let host = Host::read(config, signer)?;
    for (place, what) in [(&host.store, "store"), (&host.journal(), "journal")] {
        if fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(BackupError(format!(
                "{}: this host has a {what}, and nothing is ever overwritten: stop Signet and move it away first",
                place.display()
            )));
        }
    }
    let (summary, position) = compare(host.engine, from)?;
    let above = |path: &Path| path.parent().unwrap_or(Path::new("/")).to_owned();
    copy(&from.join("store"), from, &host.store, Some(&above(&host.store)), |_| true)?;
    copy(&from.join("journal"), from, &host.journal(), Some(&host.state), is_segment)?;
    Ok(format!("restored: {}", difference(&summary, position)))
}

impl Host {
    fn read(config: &Path, signer: &Path) -> Result<Self, BackupError> {
        let config = Config::read(config).map_err(|error| BackupError(error.to_string()))?;
        let signer = hsm::config::Config::read(signer).map_err(|error| BackupError(error.to_string()))?;
        Ok(Self { engine: engine(config.store.engine), store: config.store.path, state: signer.state })
    }

    fn journal(&self) -> PathBuf {
        self.state.join("journal")
    }
}

/// Verifies a backup's journal, and finds how far its store has followed it. A store that is ahead, or follows another
/// journal, is refused: it would be faulted when it is started.
fn compare(engine: EngineKind, backup: &Path) -> Result<(Summary, u64), BackupError> {
    let summary = journal::verify(&backup.join("journal"))
        .map_err(|error| BackupError(format!("the journal in {} is damaged: {error}", backup.display())))?;
    let opened = store::open(engine, &backup.join("store")).map_err(|error| BackupError(error.to_string()))?;
    let store = Store::new(opened);
    let known = store
        .scan(&JOURNALS, (Bound::Unbounded, Bound::Unbounded), usize::MAX, false)
        .map_err(|error| BackupError(error.to_string()))?;
    let own = known.iter().find(|(id, _)| *id == summary.journal.0.as_bytes());
    match own {
        Some((_, row)) if row.value.seq > summary.entries => Err(BackupError(format!(
            "the store has taken over {} entries of journal {}, and this copy ends at {}: bring a newer copy of the journal",
            row.value.seq, summary.journal.0, summary.entries
        ))),
        Some((_, row)) => Ok((summary, row.value.seq)),
        None if known.is_empty() => Ok((summary, 0)),
        None => {
            let id = &summary.journal.0;
            Err(BackupError(format!("the store follows another journal than {id}: bring store and journal of one CA")))
        }
    }
}

fn difference(summary: &Summary, position: u64) -> String {
    let Summary { journal, entries, hash, .. } = summary;
    let more = match entries - position {
        0 => "the store has taken over all of them".to_owned(),
        more => format!("the store has taken over {position}, and takes over the other {more} when it is started"),
    };
    format!("journal {} with {entries} entries, last hash {hash}; {more}", journal.0)
}

/// Copies what is below `from` to the new directory `to`. It is read with the rights of the owner of `theirs`, and written
/// with those of the owner of `ours`, or our own: neither account can lead root astray by what it puts there.
fn copy(
    from: &Path,
    theirs: &Path,
    to: &Path,
    ours: Option<&Path>,
    wanted: fn(&str) -> bool,
) -> Result<(), BackupError> {
    let files = as_owner(theirs, || {
        let mut files = Vec::new();
        gather(from, Path::new(""), wanted, &mut files)?;
        Ok(files)
    })?;
    as_owner_of(ours, || {
        if !to.is_dir() {
            make(to)?;
        }
        for (name, file) in files {
            let path = to.join(name);
            match file {
                None => make(&path)?,
                Some(mut file) => {
                    let mut write = || {
                        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                        io::copy(&mut file, &mut out)?;
                        out.sync_all()
                    };
                    write().map_err(|error| fault(&path, &error))?;
                }
            }
        }
        File::open(to).and_then(|directory| directory.sync_all()).map_err(|error| fault(to, &error))
    })
}

/// Every directory (`None`) and every file, open, below `root`.
fn gather(
    root: &Path,
    below: &Path,
    wanted: fn(&str) -> bool,
    files: &mut Vec<(PathBuf, Option<File>)>,
) -> Result<(), BackupError> {
    let directory = root.join(below);
    for entry in fs::read_dir(&directory).map_err(|error| fault(&directory, &error))? {
        let entry = entry.map_err(|error| fault(&directory, &error))?;
        let (path, name) = (entry.path(), below.join(entry.file_name()));
        let kind = entry.file_type().map_err(|error| fault(&path, &error))?;
        if kind.is_dir() {
            files.push((name.clone(), None));
            gather(root, &name, wanted, files)?;
        } else if kind.is_file() && wanted(&entry.file_name().to_string_lossy()) {
            let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path);
            files.push((name, Some(file.map_err(|error| fault(&path, &error))?)));
        }
    }
    Ok(())
}

fn as_owner<T>(directory: &Path, act: impl FnOnce() -> Result<T, BackupError>) -> Result<T, BackupError> {
    as_owner_of(Some(directory), act)
}

fn as_owner_of<T>(directory: Option<&Path>, act: impl FnOnce() -> Result<T, BackupError>) -> Result<T, BackupError> {
    let _guise = directory.map(Guise::of).transpose().map_err(|error| BackupError(error.to_string()))?;
    act()
}

fn make(directory: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(directory).map_err(|error| fault(directory, &error))
}

fn fault(path: &Path, error: &io::Error) -> BackupError {
    BackupError(match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} exists, and nothing is ever overwritten: name another", path.display())
        }
        _ => format!("{}: {error}", path.display()),
    })
}

/// The lock and the reserve of a journal are made anew.
fn is_segment(name: &str) -> bool {
    name.starts_with("journal-") && name.ends_with(".log")
}

/// Where the store is copied to before it leaves its owner's reach.
const STAGING: &str = "backup.new";

/// Where the store has its files.
const CRLS: &str = "crl";
