//! `POST certificate/request-with-simplerequest`: names in JSON; the key is made here.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use policy::name::Name;
use serde::Deserialize;

use super::error::Error;
use super::{answer, body};
use crate::api::access::{OrderCertificate, PermittedOwn};
use crate::service::certmaker::{Asked, CertMaker, Key, days};
use crate::service::peer::Peer;

/// What CertMaker calls a SimpleRequest, in its spelling of today and that of its first two versions, which
/// wrote the fields as Go does. E-mail addresses and the rest of the subject are read, and do not get in:
/// nobody shows that they are his.
#[derive(Deserialize)]
pub(super) struct SimpleRequest {
    #[serde(default, alias = "Domains", deserialize_with = "or_default")]
    domains: Vec<String>,
    #[serde(default, alias = "IPs", alias = "Ips", deserialize_with = "or_default")]
    ips: Vec<String>,
    #[serde(default, alias = "Subject", deserialize_with = "or_default")]
    subject: Subject,
    #[serde(default, alias = "Days")]
    days: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    preferred_challenge: String,
}

#[derive(Default, Deserialize)]
struct Subject {
    #[serde(default, alias = "CommonName", deserialize_with = "or_default")]
    common_name: String,
}

/// Go writes `null` for a list that is empty.
fn or_default<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl SimpleRequest {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Error> {
        body::read(bytes)
    }

    /// What is asked for.
    pub(super) fn asked(&self) -> Result<Asked, Error> {
        let common_name = Some(self.subject.common_name.to_ascii_lowercase()).filter(|name| !name.is_empty());
        Ok(Asked {
            names: names(self.domains.iter().chain(&self.ips))?,
            common_name,
            days: days(self.days),
            key: Key::Made,
        })
    }
}

/// The names, sorted, each once.
fn names<'a>(texts: impl Iterator<Item = &'a String>) -> Result<Vec<Name>, Error> {
    let read = |text: &String| {
        let text = text.trim().to_ascii_lowercase();
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
        match bare.parse::<IpAddr>() {
            Ok(address) => Ok(Name::Ip(address)),
            Err(_) => Name::parse(bare).map_err(|error| Error::invalid(error.to_string())),
        }
    };
    let mut names = texts.map(read).collect::<Result<Vec<_>, _>>()?;
    names.sort();
    names.dedup();
    Ok(names)
}

pub(super) async fn request(
    permitted: PermittedOwn<OrderCertificate>,
    State(certmaker): State<CertMaker>,
    Extension(peer): Extension<Arc<Peer>>,
    body: Bytes,
) -> Result<Response, Error> {
    let request = SimpleRequest::read(&body)?;
    let answer = certmaker.order(&permitted, peer.address(), request.asked()?).await?;
    Ok(answer::of_request(answer, &request.preferred_challenge))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Asked, Error> {
        SimpleRequest::read(text.as_bytes())?.asked()
    }

    #[test]
    fn every_spelling_is_read() {
        let now = r#"{"domains":["B.example","a.example","a.example"],"ips":["10.0.0.5","[::1]"],
            "email_addresses":["x@example"],"emails":null,"subject":{"common_name":"a.example","organization":"x"},
            "days":9}"#;
        let bot = r#"{"Domains":["a.example","b.example"],"IPs":["10.0.0.5","::1"],"EmailAddresses":null,
            "Subject":{"CommonName":"a.example"},"Days":9}"#;
        let (now, bot) = (read(now).unwrap(), read(bot).unwrap());
        let names: Vec<String> = now.names.iter().map(Name::to_string).collect();
        assert_eq!(names, ["a.example", "b.example", "10.0.0.5", "::1"]);
        assert_eq!((now.common_name.as_deref(), now.days), (Some("a.example"), 9));
        assert_eq!(now, bot);
        assert_eq!(read(r#"{"domains":["a.example"],"ips":null}"#).unwrap().days, 7);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "",
            "[]",
            "{",
            "null",
            r#"{"domains":"a.example"}"#,
            r#"{"domains":[1]}"#,
            r#"{"days":"7"}"#,
            r#"{"days":1e400}"#,
            r#"{"domains":["a.example"],"domains":["b.example"]}"#,
            r#"{"domains":["-a.example"]}"#,
            r#"{"ips":["10.0.0.256"]}"#,
            r#"{"domains":["a.example."]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
