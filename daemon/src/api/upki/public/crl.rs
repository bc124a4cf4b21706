//! `GET crl`: the CRL of the issuing CA, base64 of its DER, however large it is.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::{Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

use super::super::Upki;
use super::super::answer::json;
use super::super::error::Error;
use crate::service::crl::{Coding, Contents};

const BEFORE: &[u8] = br#"{"status":"success","data":{"crl":""#;
const AFTER: &[u8] = br#""}}"#;

pub(in super::super) async fn show(State(upki): State<Upki>) -> Result<Response, Error> {
    current(&upki).await
}

/// The CRL as it is published.
pub(in super::super) async fn current(upki: &Upki) -> Result<Response, Error> {
    let served = upki.crl(&upki.issuer_key, "all", Coding::Identity).await?;
    let served = served.ok_or_else(|| Error::unavailable("there is no CRL yet: it comes with the first signature"))?;
    Ok(json(match served.contents {
        Contents::Bytes(der) => Body::from([BEFORE, STANDARD.encode(der).as_bytes(), AFTER].concat()),
        Contents::File(file, length) => Body::new(Encoded {
            file: File::from_std(file),
            length,
            left: length,
            held: Vec::new(),
            stage: Stage::Before,
            buffer: vec![0; CHUNK],
        }),
    }))
}

/// A file on its way in base64, a piece at a time.
struct Encoded {
    file: File,
    length: u64,
    left: u64,
    /// Octets that do not fill a group of three yet.
    held: Vec<u8>,
    stage: Stage,
    buffer: Vec<u8>,
}

enum Stage {
    Before,
    Contents,
    Done,
}

impl hyper::body::Body for Encoded {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        let piece = match this.stage {
            Stage::Before => {
                this.stage = Stage::Contents;
                Bytes::from_static(BEFORE)
            }
            Stage::Done => return Poll::Ready(None),
            Stage::Contents => {
                let wanted = this.buffer.len().min(usize::try_from(this.left).unwrap_or(usize::MAX));
                let mut read = ReadBuf::new(&mut this.buffer[..wanted]);
                if wanted > 0 {
                    ready!(Pin::new(&mut this.file).poll_read(context, &mut read))?;
                    if read.filled().is_empty() {
                        return Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())));
                    }
                }
                this.left -= read.filled().len() as u64;
                this.held.extend_from_slice(read.filled());
                let whole = if this.left == 0 { this.held.len() } else { this.held.len() / 3 * 3 };
                let mut text = STANDARD.encode(&this.held[..whole]).into_bytes();
                this.held.drain(..whole);
                if this.left == 0 {
                    text.extend_from_slice(AFTER);
                    this.stage = Stage::Done;
                }
                Bytes::from(text)
            }
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((BEFORE.len() + AFTER.len()) as u64 + self.length.div_ceil(3) * 4)
    }
}

/// Octets read at a time.
const CHUNK: usize = 48 * 1024;
