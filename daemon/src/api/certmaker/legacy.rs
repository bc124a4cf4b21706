//! `POST certificate/request` as CertMaker's first two versions had it and its Bot still asks: the answer
//! says where certificate and key are to be fetched. There were no challenges then.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::answer;
use super::error::Error;
use super::simple::SimpleRequest;
use crate::api::access::{OrderCertificate, PermittedOwn};
use crate::service::certmaker::{Answer, CertMaker};
use crate::service::peer::Peer;

pub(super) async fn request(
    permitted: PermittedOwn<OrderCertificate>,
    State(certmaker): State<CertMaker>,
    Extension(peer): Extension<Arc<Peer>>,
    body: Bytes,
) -> Result<Response, Error> {
    let request = SimpleRequest::read(&body)?;
    match certmaker.order_and_keep(&permitted, peer.address(), request.asked()?).await? {
        challenged @ Answer::Challenges(_) => Ok(answer::of_request(challenged, "")),
        Answer::Issued(issued) => {
            let serial = issued.serial.to_decimal();
            let base = &certmaker.services().public_url;
            let place = |what: &str| format!("{base}/api/v1/{what}/{serial}/obtain");
            let headers =
                [("x-certificate-location", place("certificate")), ("x-privatekey-location", place("privatekey"))];
            Ok((StatusCode::OK, headers).into_response())
        }
    }
}
