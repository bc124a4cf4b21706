//! Who sends a request: an account, by its API token in `X-Auth-Token`.

use http::request::Parts;

use super::error::Error;
use crate::api::access::Serves;
use crate::service::Services;
use crate::service::certmaker::CertMaker;
use crate::service::rights::{Locked, Shows};

/// CertMaker's header.
const TOKEN: &str = "x-auth-token";

impl Serves for CertMaker {
    type Refusal = Error;

    fn services(&self) -> &Services {
        CertMaker::services(self)
    }

    /// By the token alone, whatever certificate the connection has. Nothing is a token that nobody has.
    fn shown(parts: &Parts) -> Shows<'_> {
        let text = parts.headers.get(TOKEN).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Shows::Token(text.trim(), Locked::Taken)
    }
}
