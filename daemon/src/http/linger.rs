//! A stream that hears its peer out before it is closed.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Closing a socket that holds unread bytes resets the connection, and a client that was still
/// sending (a body or headers over the limit) would lose the answer that says why. So what has come
/// and still comes is read and dropped, within bounds, until the peer ends or falls silent.
pub(super) struct Linger<S> {
    stream: S,
    closing: Option<Closing>,
}

/// Since the peer was told that no more will come.
struct Closing {
    until: Pin<Box<Sleep>>,
    silence: Pin<Box<Sleep>>,
    /// Bytes that are still read.
    left: usize,
}

/// Longest time in all: for a client on a slow line, not for one that never ends.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time in which nothing comes.
const SILENCE: Duration = Duration::from_millis(500);
/// Most bytes.
const MOST: usize = 16 << 20;

impl<S> Linger<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, closing: None }
    }
}

impl Closing {
    fn begin() -> Self {
        let after = |time| Box::pin(tokio::time::sleep(time));
        Self { until: after(PATIENCE), silence: after(SILENCE), left: MOST }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Linger<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let closing = this.closing.get_or_insert_with(Closing::begin);
        let mut dropped = [0; 8 << 10];
        while closing.left > 0 && closing.until.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut dropped);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    closing.left = closing.left.saturating_sub(buf.filled().len());
                    closing.silence.as_mut().reset(Instant::now() + SILENCE);
                }
                // It has ended, or is gone.
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(closing.silence.as_mut().poll(cx));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    async fn pair() -> (Linger<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Linger::new(listener.accept().await.unwrap().0), client)
    }

    #[tokio::test]
    async fn a_client_that_still_sends_gets_the_answer() {
        let (mut server, mut client) = pair().await;
        let sending = tokio::spawn(async move {
            client.write_all(&vec![7; 4 << 20]).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        });
        server.read_exact(&mut [0; 1000]).await.unwrap();
        server.write_all(b"enough").await.unwrap();
        server.shutdown().await.unwrap();
        drop(server);
        assert_eq!(sending.await.unwrap(), "enough");
    }

    #[tokio::test]
    async fn a_client_that_is_silent_is_not_waited_for_long() {
        let (mut server, client) = pair().await;
        let begun = Instant::now();
        server.shutdown().await.unwrap();
        assert!(begun.elapsed() < PATIENCE / 2);
        drop(client);
    }

    #[tokio::test]
    async fn a_client_that_never_ends_is_left_alone_in_time() {
        let (mut server, mut client) = pair().await;
        let endless = tokio::spawn(async move { while client.write_all(&[7; 65_536]).await.is_ok() {} });
        server.read_exact(&mut [0; 1000]).await.unwrap();
        server.shutdown().await.unwrap();
        drop(server);
        endless.await.unwrap();
    }
}
