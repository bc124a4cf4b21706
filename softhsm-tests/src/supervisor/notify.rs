//! The notification socket of one service: what sd_notify(3) messages say, and the descriptors that
//! travel with them.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt};

/// What one assignment of a message says. Assignments that systemd ignores in a service of ours are
/// not here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// `FDSTORE=1`: keep the descriptors of this message under the name.
    Keep(String),
    /// `READY=1`
    Ready,
    /// `RELOADING=1`
    Reloading,
    /// `FDSTOREREMOVE=1`: close what is kept under the name.
    Remove(String),
    /// `STATUS=…`
    Status(String),
    /// `STOPPING=1`
    Stopping,
    /// `WATCHDOG=1`
    Watchdog,
}

/// One datagram.
pub(crate) struct Message {
    pub(crate) notices: Vec<Notice>,
    /// Dropped, and so closed, once every notice was acted on: what `BARRIER=1` waits for.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Who sent it, as the kernel says.
    pub(crate) pid: Option<i32>,
}

/// The socket that `NOTIFY_SOCKET` names.
pub(crate) struct NotifySocket(UnixDatagram);

impl NotifySocket {
    pub(crate) fn bind(path: &Path) -> std::io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(path)?;
        socket.set_nonblocking(true)?;
        sockopt::set_socket_passcred(&socket, true)?;
        Ok(Self(socket))
    }

    /// The next message, if one is waiting.
    pub(crate) fn receive(&self) -> std::io::Result<Option<Message>> {
        let mut bytes = [0u8; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16), ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let length = match recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => received.bytes,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut descriptors = Vec::new();
        let mut pid = None;
        for message in control.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(fds) => descriptors.extend(fds),
                RecvAncillaryMessage::ScmCredentials(who) => pid = Some(who.pid.as_raw_nonzero().get()),
                _ => {}
            }
        }
        let notices = parse(&String::from_utf8_lossy(&bytes[..length]));
        Ok(Some(Message { notices, descriptors, pid }))
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A message is lines of `NAME=value`; `FDNAME=` qualifies the others, in whatever order they stand.
fn parse(text: &str) -> Vec<Notice> {
    let name = text.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or("stored").to_owned();
    text.lines()
        .filter_map(|line| match line {
            "FDSTORE=1" => Some(Notice::Keep(name.clone())),
            "FDSTOREREMOVE=1" => Some(Notice::Remove(name.clone())),
            "READY=1" => Some(Notice::Ready),
            "RELOADING=1" => Some(Notice::Reloading),
            "STOPPING=1" => Some(Notice::Stopping),
            "WATCHDOG=1" => Some(Notice::Watchdog),
            _ => line.strip_prefix("STATUS=").map(|status| Notice::Status(status.to_owned())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_qualifies_a_push_wherever_it_stands() {
        assert_eq!(parse("FDSTORE=1\nFDNAME=unseal"), [Notice::Keep("unseal".into())]);
        assert_eq!(parse("FDNAME=unseal\nFDSTOREREMOVE=1\n"), [Notice::Remove("unseal".into())]);
    }

    #[test]
    fn a_message_may_say_several_things() {
        assert_eq!(parse("READY=1\nSTATUS=sealed\nMAINPID=7"), [Notice::Ready, Notice::Status("sealed".into())]);
    }
}
