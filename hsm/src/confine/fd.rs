//! Descriptors that come from elsewhere: from systemd to a starting process (sd_listen_fds(3)), and
//! beside messages (SCM_RIGHTS, unix(7)).

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, RecvMsg, UnixAddr};

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

/// Owns every descriptor beside a message that was just received, and gives the first one.
pub(crate) fn received(message: &RecvMsg<'_, '_, UnixAddr>) -> Option<OwnedFd> {
    // The space for one is rounded up, and two fit.
    let mut all = Vec::new();
    for control in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmRights(descriptors) = control {
            #[allow(unsafe_code, reason = "a descriptor that was received has no owner in this process yet")]
            // SAFETY: the kernel made these descriptors for this process when it received the message,
            // and `cmsgs` hands them out once: the only caller asks once for each message.
            all.extend(descriptors.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    all.into_iter().next()
}
