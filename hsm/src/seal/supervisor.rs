//! systemd's notification socket (sd_notify(3)), connected once, before confinement.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::pipe2;

/// Longest wait for systemd to have read what it was told.
const BARRIER: Duration = Duration::from_secs(5);

/// The service manager, if there is one.
pub(crate) struct Supervisor {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Connects to the socket that `NOTIFY_SOCKET` names, a path or `@` and an abstract name.
    pub(crate) fn from_environment() -> io::Result<Self> {
        let socket = match std::env::var_os("NOTIFY_SOCKET") {
            Some(name) => Some(connect(&name)?),
            None => None,
        };
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| for_us).map(Duration::from_micros);
        Ok(Self { socket, watchdog })
    }

    #[cfg(test)]
    pub(crate) fn with(socket: Option<UnixDatagram>) -> Self {
        Self { socket, watchdog: None }
    }

    /// How long systemd waits for `WATCHDOG=1` before it ends this process.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Tells systemd `lines`. Failure is logged: there is nobody else to tell.
    pub(crate) fn tell(&self, lines: &str) {
        self.send(lines, &[]);
    }

    /// Tells systemd that files are being read again, and since when: it waits for `READY=1`.
    pub(crate) fn tell_reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.num_microseconds());
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// Tells systemd `lines`, with a descriptor.
    pub(crate) fn tell_with(&self, lines: &str, descriptor: BorrowedFd<'_>) {
        self.send(lines, &[ControlMessage::ScmRights(&[descriptor.as_raw_fd()])]);
    }

    /// Waits until systemd has read everything it was told so far.
    pub(crate) fn barrier(&self) {
        if self.socket.is_none() {
            return;
        }
        let wait = || -> nix::Result<bool> {
            let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
            self.tell_with("BARRIER=1", std::os::fd::AsFd::as_fd(&theirs));
            drop(theirs);
            // systemd closes its copy when it comes to this message, and the pipe hangs up.
            let mut polled = [PollFd::new(std::os::fd::AsFd::as_fd(&ours), PollFlags::empty())];
            let timeout = PollTimeout::try_from(BARRIER).unwrap_or(PollTimeout::MAX);
            Ok(poll(&mut polled, timeout)? > 0)
        };
        match wait() {
            Ok(true) => {}
            Ok(false) => tracing::warn!("systemd did not answer the barrier in time"),
            Err(errno) => tracing::warn!(%errno, "the barrier failed"),
        }
    }

    fn send(&self, lines: &str, control: &[ControlMessage<'_>]) {
        let Some(socket) = &self.socket else { return };
        let sent = sendmsg::<UnixAddr>(
            socket.as_raw_fd(),
            &[IoSlice::new(lines.as_bytes())],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        if let Err(errno) = sent {
            tracing::warn!(%errno, lines, "systemd could not be notified");
        }
    }
}

fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    Ok(socket)
}
