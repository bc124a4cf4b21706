//! `CertificateResponse`: a certificate and its key in base64 of DER, which CertMaker calls PEM, or
//! challenges, in its present form and in the one before.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use policy::evidence::Method;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::api::secret::{self, Secret};
use crate::service::certmaker::{Answer, Challenge};
use crate::service::issue::Issued;

#[derive(Serialize)]
struct Certificate {
    certificate_pem: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key_pem: Option<Secret>,
}

#[derive(Serialize)]
struct Challenges {
    challenges: Vec<View>,
    #[serde(flatten)]
    old: Old,
}

#[derive(Serialize)]
struct View {
    challenge_type: &'static str,
    challenge_id: String,
    challenge_token: String,
    valid_until: String,
}

/// As before there was a list, and as CertMaker's SDK still reads it.
#[derive(Serialize)]
struct Old {
    http01_challenge: bool,
    dns01_challenge: bool,
    challenge_id: String,
    challenge_token: String,
}

/// The certificate; its key too, if it was made here.
pub(super) fn issued(issued: &Issued) -> Response {
    let key = issued.private_key.as_ref();
    let certificate = Certificate {
        certificate_pem: STANDARD.encode(&issued.certificate),
        private_key_pem: key.map(|key| Secret(Zeroizing::new(STANDARD.encode(key.pkcs8())))),
    };
    secret::json(StatusCode::CREATED, &certificate)
}

/// What comes of a request. `preferred` is the type of the challenge that the client would solve.
pub(super) fn of_request(answer: Answer, preferred: &str) -> Response {
    match answer {
        Answer::Issued(certificate) => issued(&certificate),
        Answer::Challenges(challenges) => (StatusCode::ACCEPTED, Json(all(&challenges, preferred))).into_response(),
    }
}

fn all(challenges: &[Challenge], preferred: &str) -> Challenges {
    let wanted = challenges.iter().find(|one| kind(one.method) == preferred).or(challenges.first());
    let has = |method| challenges.iter().any(|one| one.method == method);
    let old = Old {
        http01_challenge: has(Method::CertMakerHttp01),
        dns01_challenge: has(Method::CertMakerDns01),
        challenge_id: wanted.map(|one| one.id.clone()).unwrap_or_default(),
        challenge_token: wanted.map(|one| one.token.clone()).unwrap_or_default(),
    };
    let view = |one: &Challenge| View {
        challenge_type: kind(one.method),
        challenge_id: one.id.clone(),
        challenge_token: one.token.clone(),
        valid_until: time(one.valid_until),
    };
    Challenges { challenges: challenges.iter().map(view).collect(), old }
}

fn kind(method: Method) -> &'static str {
    match method {
        Method::CertMakerDns01 => "dns-01",
        _ => "http-01",
    }
}

fn time(at: policy::effects::UnixTime) -> String {
    let at = std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(at.0)).unwrap_or(std::time::UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string()
}
