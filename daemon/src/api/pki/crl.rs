//! `/crl/…`: certificate revocation lists.
//!
//! ```text
//! /crl/NAME.crl              all certificates of the issuer     /crl/NAME/delta.crl
//! /crl/NAME/3-of-16.crl      one shard                          /crl/NAME/3-of-16-delta.crl
//! ```
//!
//! NAME is `root`, the label of the issuing key, or a key identifier in hexadecimal.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::body::{Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

use super::artefact::Artefact;
use crate::api::route::Public;
use crate::problem::Problem;
use crate::service::Services;
use crate::service::crl::{Coding, Contents, Served};
use crate::service::rights::Permission::ReadPublic;

pub(super) fn routes(services: Arc<Services>) -> Public {
    Public::new(services).unguarded(&[Method::GET], "/crl/{file}", ReadPublic, get(all)).unguarded(
        &[Method::GET],
        "/crl/{issuer}/{file}",
        ReadPublic,
        get(part),
    )
}

async fn all(
    State(services): State<Arc<Services>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(issuer) = file.strip_suffix(".crl") else { return Err(missing()) };
    serve(&services, issuer, "all", &headers).await
}

async fn part(
    State(services): State<Arc<Services>>,
    Path((issuer, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Some(list) = file.strip_suffix(".crl") else { return Err(missing()) };
    // The delta of the complete list is no part, and has no name of its own.
    let list = if list == "delta" { "all-delta" } else { list };
    serve(&services, &issuer, list, &headers).await
}

async fn serve(services: &Services, issuer: &str, list: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let coding = if accepts_gzip(headers) { Coding::Gzip } else { Coding::Identity };
    let found = services.crl(issuer, list, coding).await.map_err(|failure| Problem::from(&failure))?;
    let Some(Served { tag, this_update, next_update, max_age, coding, contents }) = found else {
        return Err(missing());
    };
    let suffix = match coding {
        Coding::Gzip => "-gzip",
        Coding::Identity => "",
    };
    let artefact = Artefact {
        media_type: "application/pkix-crl",
        tag: format!("{tag}{suffix}"),
        made: this_update,
        expires: next_update,
        max_age,
    };
    let body = match contents {
        Contents::Bytes(bytes) => Body::from(bytes),
        Contents::File(file, length) => {
            Body::new(Streamed { file: File::from_std(file), left: length, buffer: vec![0; CHUNK] })
        }
    };
    let mut response = artefact.answer(headers, || body);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    if coding == Coding::Gzip && response.status() == StatusCode::OK {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// Whether the client takes gzip (RFC 9110 section 12.5.3): named, and not with a weight of zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let named = |item: &str| {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let refused = parts.any(|weight| {
            weight.strip_prefix("q=").is_some_and(|weight| weight.parse().is_ok_and(|weight: f32| weight == 0.0))
        });
        (coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip")) && !refused
    };
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(named)
}

fn missing() -> Problem {
    Problem::plain(StatusCode::NOT_FOUND, "there is no such CRL")
}

/// A file on its way, a piece at a time.
struct Streamed {
    file: File,
    left: u64,
    buffer: Vec<u8>,
}

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Self { file, left, buffer } = self.get_mut();
        if *left == 0 {
            return Poll::Ready(None);
        }
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(file).poll_read(context, &mut read))?;
        let bytes = read.filled();
        if bytes.is_empty() {
            return Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())));
        }
        let bytes = &bytes[..bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX))];
        *left -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(bytes)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Octets read at a time.
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let asked = |text| accepts_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(text))]));
        assert!(asked("gzip"));
        assert!(asked("br, GZIP;q=0.5"));
        assert!(!asked("gzip;q=0"));
        assert!(!asked("gzip; q=0.0, br"));
        assert!(!asked("identity"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
