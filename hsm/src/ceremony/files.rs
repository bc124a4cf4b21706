//! Files that are made once: never over another, durable when the call returns.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Who may read a file or enter a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its owner.
    Owner,
    /// Everybody.
    Everybody,
}

/// Trouble with one file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", .path.display())]
pub struct FileError {
    /// Which.
    pub path: PathBuf,
    /// What could not be done, and what to do about it.
    pub what: String,
}

impl FileError {
    fn io(path: &Path, doing: &str, error: &io::Error) -> Self {
        let what = match error.kind() {
            io::ErrorKind::AlreadyExists => format!("it exists, and nothing is ever overwritten ({doing})"),
            _ => format!("{doing} failed: {error}"),
        };
        Self { path: path.to_owned(), what }
    }
}

/// Makes a new file with `bytes` in it, and syncs it and its directory. Fails if it exists.
pub(crate) fn create(path: &Path, bytes: &[u8], access: Access) -> Result<(), FileError> {
    let mode = match access {
        Access::Owner => 0o600,
        Access::Everybody => 0o644,
    };
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        // The mode at open is cut by the umask, which is not for us to rely on.
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| FileError::io(path, "writing", &error))?;
    sync_directory(path.parent().unwrap_or(Path::new("/")))
}

/// Makes a new file that everybody may read.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    create(path, bytes, Access::Everybody)
}

/// Puts a file that everybody may read in the place of another one, or of none: whoever reads sees the
/// old one or the new one, whole.
pub fn replace_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let fresh = path.with_file_name(name);
    create(&fresh, bytes, Access::Everybody)?;
    std::fs::rename(&fresh, path).map_err(|error| FileError::io(path, "replacing", &error))?;
    sync_directory(path.parent().unwrap_or(Path::new("/")))
}

/// Makes a new file that only its owner may read.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    create(path, bytes, Access::Owner)
}

/// Refuses paths that are taken, before anything is signed for them.
pub fn free<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), FileError> {
    match paths.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(path) => {
            let what = "it exists, and nothing is ever overwritten: name another file".to_owned();
            Err(FileError { path: path.clone(), what })
        }
    }
}

/// Makes a directory, and those above it, unless it is there.
pub(crate) fn directory(path: &Path, access: Access) -> Result<(), FileError> {
    if path.is_dir() {
        return Ok(());
    }
    let mode = match access {
        Access::Owner => 0o700,
        Access::Everybody => 0o755,
    };
    let parent = path.parent().unwrap_or(Path::new("/"));
    directory(parent, Access::Everybody)?;
    DirBuilder::new()
        .mode(mode)
        .create(path)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .map_err(|error| FileError::io(path, "making the directory", &error))?;
    sync_directory(parent)
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let check = |size: u64| {
        if size <= limit {
            return Ok(());
        }
        Err(FileError { path: path.to_owned(), what: format!("it is larger than {limit} bytes: name another file") })
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| io::Read::read_to_end(&mut io::Read::take(file, limit + 1), &mut bytes))
        .map_err(|error| FileError::io(path, "reading", &error))?;
    check(bytes.len() as u64)?;
    Ok(bytes)
}

/// Reads a secret from a file that only its owner can read; one line end at the end is not part
/// of it.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let meta = std::fs::metadata(path).map_err(|error| FileError::io(path, "reading", &error))?;
    if meta.mode() & 0o077 != 0 {
        let what = "others can read this secret: run `chmod 600` on it".to_owned();
        return Err(FileError { path: path.to_owned(), what });
    }
    let mut secret = Zeroizing::new(read(path, MAX_SECRET)?);
    if secret.last() == Some(&b'\n') {
        secret.pop();
    }
    if secret.last() == Some(&b'\r') {
        secret.pop();
    }
    Ok(secret)
}

/// Whether there is anything at `path`: a file, or a directory that is not empty.
pub(crate) fn is_taken(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.symlink_metadata().is_ok(),
    }
}

/// Gives everything below `path` that has another owner to `uid` and `gid`; links are not
/// followed.
pub(crate) fn hand_over(path: &Path, uid: u32, gid: u32) -> Result<(), FileError> {
    let fault = |error: io::Error| FileError::io(path, "changing the owner", &error);
    let meta = path.symlink_metadata().map_err(fault)?;
    if meta.is_dir() {
        for entry in std::fs::read_dir(path).map_err(fault)? {
            hand_over(&entry.map_err(fault)?.path(), uid, gid)?;
        }
    }
    if (meta.uid(), meta.gid()) != (uid, gid) {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(fault)?;
    }
    Ok(())
}

fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| FileError::io(path, "syncing the directory", &error))
}

/// No token takes a PIN as long as that.
const MAX_SECRET: u64 = 1024;
