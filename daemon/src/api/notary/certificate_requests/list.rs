//! `GET /api/v1/certificate_requests`

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use hyper::body::Frame;

use super::View;
use crate::api::access::{PermittedOwn, ReadRequests};
use crate::api::notary::Notary;
use crate::api::notary::error::Error;

pub(in crate::api::notary) async fn list(
    permitted: PermittedOwn<ReadRequests>,
    State(notary): State<Notary>,
) -> Result<Response, Error> {
    // The dialect knows no pages, so the list is made once and sent twice, once for each generation.
    let mut list = b"[".to_vec();
    let mut after = None;
    loop {
        let (requests, next) = notary.notary_requests(&permitted, after)?;
        for request in requests {
            if list.len() > 1 {
                list.push(b',');
            }
            serde_json::to_writer(&mut list, &View::from(request))
                .map_err(|error| Error::internal(&error.to_string()))?;
        }
        after = next;
        if after.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    list.push(b']');
    let list: Bytes = list.into();
    let parts =
        Parts([Bytes::from("}"), list.clone(), Bytes::from(",\"data\":"), list, Bytes::from("{\"result\":")].into());
    Ok(([(CONTENT_TYPE, "application/json")], Body::new(parts)).into_response())
}

/// What is still to be sent, the next part last.
struct Parts(Vec<Bytes>);

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        Poll::Ready(self.0.pop().map(|part| Ok(Frame::data(part))))
    }
}
