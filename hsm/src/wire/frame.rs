//! Frames: one packet, a version octet, then postcard.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{self, ControlMessage, MsgFlags, UnixAddr};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{MAX_FRAME, VERSION};
use crate::confine::fd;

/// Why a frame was not sent, not received, or not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The other end closed the connection, or sent an empty packet, which looks the same.
    #[error("the connection is closed")]
    Closed,
    /// The system's word on a send or receive that failed.
    #[error("the socket failed: {0}")]
    Io(Errno),
    /// The octets after the version are not one message, or more than one.
    #[error("the frame is malformed")]
    Malformed,
    /// The frame is larger than [`MAX_FRAME`].
    #[error("the frame is larger than {MAX_FRAME} bytes")]
    TooLarge,
    /// The other end speaks another version of the frames.
    #[error("the frame has version {0}, this program speaks {VERSION}: install the same version of both programs")]
    Version(u8),
}

/// Writes `message` as one frame into `frame`, whose former contents are dropped and whose
/// allocation is used again. Fails only with [`FrameError::TooLarge`].
pub fn encode<T: Serialize>(message: &T, frame: &mut Vec<u8>) -> Result<(), FrameError> {
    let mut bytes = std::mem::take(frame);
    bytes.clear();
    bytes.push(VERSION);
    *frame = postcard::to_extend(message, bytes).map_err(|_| FrameError::TooLarge)?;
    if frame.len() <= MAX_FRAME { Ok(()) } else { Err(FrameError::TooLarge) }
}

/// Reads one message from one frame. Total: any bytes give a message or an error, and bytes after
/// the message are an error.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, FrameError> {
    match frame {
        [] => Err(FrameError::Closed),
        _ if frame.len() > MAX_FRAME => Err(FrameError::TooLarge),
        [VERSION, body @ ..] => match postcard::take_from_bytes(body) {
            Ok((message, [])) => Ok(message),
            Ok(_) | Err(_) => Err(FrameError::Malformed),
        },
        [version, ..] => Err(FrameError::Version(*version)),
    }
}

/// Sends one frame in one packet. With `MSG_DONTWAIT` in `flags` a full socket is
/// [`FrameError::Io`] with `EAGAIN`, and nothing was sent.
pub fn send(socket: impl AsFd, frame: &[u8], flags: MsgFlags) -> Result<(), FrameError> {
    if frame.len() > MAX_FRAME {
        return Err(FrameError::TooLarge);
    }
    let fd = socket.as_fd().as_raw_fd();
    loop {
        match socket::send(fd, frame, flags | MsgFlags::MSG_NOSIGNAL) {
            // A packet is sent whole or not at all.
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(unsent(errno)),
        }
    }
}

/// Sends one frame, and a descriptor beside it.
pub fn send_with(
    socket: impl AsFd,
    frame: &[u8],
    descriptor: BorrowedFd<'_>,
    flags: MsgFlags,
) -> Result<(), FrameError> {
    if frame.len() > MAX_FRAME {
        return Err(FrameError::TooLarge);
    }
    let (fd, beside) = (socket.as_fd().as_raw_fd(), [descriptor.as_raw_fd()]);
    loop {
        let (parts, beside) = ([IoSlice::new(frame)], [ControlMessage::ScmRights(&beside)]);
        match socket::sendmsg::<UnixAddr>(fd, &parts, &beside, flags | MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(unsent(errno)),
        }
    }
}

/// Receives one packet into `buffer`, which holds [`MAX_FRAME`] bytes, and returns the part of it
/// that is the frame. Descriptors beside it are closed unseen.
pub fn receive(socket: impl AsFd, buffer: &mut [u8], flags: MsgFlags) -> Result<&[u8], FrameError> {
    let fd = socket.as_fd().as_raw_fd();
    loop {
        // MSG_TRUNC: the packet's own length comes back, even when it is larger than the buffer.
        match socket::recv(fd, buffer, flags | MsgFlags::MSG_TRUNC) {
            Ok(0) => return Err(FrameError::Closed),
            Ok(len) => return buffer.get(..len).ok_or(FrameError::TooLarge),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(unreceived(errno)),
        }
    }
}

/// Receives one packet as [`receive`] does, and the first descriptor that came beside it.
pub fn receive_with(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: MsgFlags,
) -> Result<(&[u8], Option<OwnedFd>), FrameError> {
    let fd = socket.as_fd().as_raw_fd();
    let flags = flags | MsgFlags::MSG_TRUNC | MsgFlags::MSG_CMSG_CLOEXEC;
    loop {
        let mut space = nix::cmsg_space!(RawFd);
        let received = socket::recvmsg::<UnixAddr>(fd, &mut [IoSliceMut::new(buffer)], Some(&mut space), flags)
            .map(|message| (message.bytes, fd::received(&message)));
        match received {
            Ok((0, _)) => return Err(FrameError::Closed),
            Ok((length, descriptor)) => {
                return buffer.get(..length).map(|frame| (frame, descriptor)).ok_or(FrameError::TooLarge);
            }
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(unreceived(errno)),
        }
    }
}

fn unsent(errno: Errno) -> FrameError {
    match errno {
        Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN => FrameError::Closed,
        errno => FrameError::Io(errno),
    }
}

fn unreceived(errno: Errno) -> FrameError {
    match errno {
        Errno::ECONNRESET | Errno::ENOTCONN => FrameError::Closed,
        errno => FrameError::Io(errno),
    }
}
