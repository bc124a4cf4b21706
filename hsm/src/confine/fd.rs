//! Descriptors that systemd hands to a starting process (sd_listen_fds(3)).

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first descriptor that systemd passes.
const FIRST: RawFd = 3;

/// Most descriptors that are taken: ours are a few sockets and one memfd.
const MOST: usize = 32;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the descriptors named by `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`, each with its
/// name, and sets close-on-exec on them. The second call in a process gets none. To be called
/// before anything else is opened.
#[must_use]
pub fn inherited() -> Vec<(String, OwnedFd)> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let ours = variable("LISTEN_PID") == std::process::id().to_string();
    if !ours || TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let count = variable("LISTEN_FDS").parse::<usize>().unwrap_or(0).min(MOST);
    let names = variable("LISTEN_FDNAMES");
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    (FIRST..).take(count).zip(names).filter_map(|(fd, name)| Some((name, take(fd)?))).collect()
}

/// Owns descriptor `fd`, if it is open.
#[allow(unsafe_code, reason = "a descriptor that was inherited has no owner in this process yet")]
fn take(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: the borrow lasts for this call of fcntl, which fails with EBADF if `fd` is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    // SAFETY: `fd` is open, and nobody else owns it: systemd made it for this process (LISTEN_PID
    // is ours), and `inherited`, the only caller, gets past its guard once in a process.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
