//! The sockets a signer answers on.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::socket::sockopt;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, getsockopt, listen, socket};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Uid, chown, geteuid};

use super::StartError;
use crate::config::{Listen, Peer};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;

/// One socket, ready to be accepted from.
pub(super) struct Listener {
    pub(super) socket: UnixListener,
    pub(super) peer: Peer,
    uid: Option<u32>,
}

impl Listener {
    /// Takes the socket that systemd made for this path, or makes one of mode 0600. A stale one in
    /// its place is removed; the journal's lock has shown that no other signer uses it.
    pub(super) fn open(config: &Listen, inherited: &mut Vec<(String, OwnedFd)>) -> Result<Self, StartError> {
        let failed = |why: io::Error| StartError(format!("the socket {} cannot be made: {why}", config.path.display()));
        let socket = match take(&config.path, inherited) {
            Some(socket) => socket,
            None => make(&config.path, config.uid).map_err(failed)?,
        };
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self { socket, peer: config.peer, uid: config.uid })
    }

    /// Whether connections of `uid` are accepted.
    pub(super) fn accepts(&self, uid: u32) -> bool {
        uid == self.uid.unwrap_or_else(|| geteuid().as_raw())
    }
}

/// The inherited socket that is bound to `path`.
fn take(path: &Path, inherited: &mut Vec<(String, OwnedFd)>) -> Option<UnixListener> {
    let bound_here = |descriptor: &OwnedFd| {
        let Ok(copy) = descriptor.try_clone() else { return false };
        getsockopt(descriptor, sockopt::SockType) == Ok(SockType::SeqPacket)
            && UnixListener::from(copy).local_addr().is_ok_and(|address| address.as_pathname() == Some(path))
    };
    let at = inherited.iter().position(|(_, descriptor)| bound_here(descriptor))?;
    Some(inherited.swap_remove(at).1.into())
}

fn make(path: &Path, uid: Option<u32>) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("another file is there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let address = UnixAddr::new(path)?;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    // Never open to others, not for a moment either. No other thread is running yet.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = bind(socket.as_raw_fd(), &address);
    umask(before);
    bound?;
    if let Some(uid) = uid.filter(|uid| *uid != geteuid().as_raw()) {
        chown(path, Some(Uid::from_raw(uid)), None).map_err(|errno| {
            io::Error::other(format!("it cannot be given to user {uid} ({errno}): let systemd make it (SocketUser=)"))
        })?;
    }
    listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok(socket.into())
}
