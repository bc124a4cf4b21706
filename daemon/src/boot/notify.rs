//! What the service manager is told (sd_notify(3)), over a socket that is connected once, before
//! confinement.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

/// The service manager, or nobody.
pub(super) struct Manager(Option<UnixDatagram>);

impl Manager {
    /// Connects to the manager's socket (`NOTIFY_SOCKET`), if there is one that listens.
    pub(super) fn connect(name: Option<&OsStr>) -> Self {
        Self(name.and_then(|name| {
            let socket = UnixDatagram::unbound().ok()?;
            socket.connect_addr(&address(name)?).ok()?;
            Some(socket)
        }))
    }

    /// Says one or more assignments, a line each. Failing to be heard changes nothing.
    pub(super) fn say(&self, lines: &str) {
        if let Some(socket) = &self.0 {
            drop(socket.send(lines.as_bytes()));
        }
    }

    /// Says that files are being read again, and since when: it waits for `READY=1`.
    pub(super) fn say_reloading(&self) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.num_microseconds());
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(listener: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        listener.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = listener.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_is_heard_by_path_and_by_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        Manager::connect(Some(path.as_os_str())).say("READY=1");
        assert_eq!(heard(&listener), "READY=1");

        let name = format!("signet-test-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Manager::connect(Some(OsStr::new(&format!("@{name}")))).say("STOPPING=1");
        assert_eq!(heard(&listener), "STOPPING=1");
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        Manager::connect(None).say("READY=1");
        Manager::connect(Some(OsStr::new("/nowhere/at/all"))).say("READY=1");
    }
}
