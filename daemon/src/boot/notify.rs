//! What the service manager is told (sd_notify(3)), over a socket that is connected once, before
//! confinement.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, or nobody.
pub(super) struct Manager(Option<UnixDatagram>);

impl Manager {
    /// Connects to `NOTIFY_SOCKET`, if there is one that listens.
    pub(super) fn connect() -> Self {
        Self(std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect_addr(&address(&name)?).ok()?;
            Some(socket)
        }))
    }

    /// Says one or more assignments, a line each. Failing to be heard changes nothing.
    pub(super) fn say(&self, lines: &str) {
        if let Some(socket) = &self.0 {
            drop(socket.send(lines.as_bytes()));
        }
    }

    /// How often the manager wants to hear `WATCHDOG=1`: half the time after which it would act.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
        let ours = std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        (ours && micros > 1).then(|| Duration::from_micros(micros / 2))
    }
}

/// A path, or a name of the abstract space behind an `@`.
fn address(name: &OsStr) -> Option<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        _ => SocketAddr::from_pathname(name).ok(),
    }
}
