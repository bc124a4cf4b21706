//! CertMaker's challenges: the token itself in a file or in a TXT record, at addresses and within limits
//! that are those of http-01 and dns-01.

use policy::evidence::Method;
use policy::name::Name;

use super::http01::target;
use super::{Failure, FailureKind, Retry, Shown, Validator, dns01, http01};

/// Versions in every record (I2): changed whenever what they accept changes.
const HTTP01: &str = "ca-certmaker-http-01/1";
const DNS01: &str = "ca-certmaker-dns-01/1";

/// Where the file is.
const PATH: &str = "/.well-known/certmaker-challenge/token";

/// What one attempt has to show.
#[derive(Clone, Copy, Debug)]
pub struct TokenAttempt<'a> {
    /// The name, without the label `*` of a wildcard.
    pub name: &'a Name,
    /// How it is to be shown: one of CertMaker's two challenges.
    pub method: Method,
    /// Another port than the configured one for the file.
    pub port: Option<u16>,
    /// The token.
    pub token: &'a str,
}

/// Names that have the TXT record: that of CertMaker's server, and that which its clients tell their users.
pub fn records(name: &Name) -> [String; 2] {
    [format!("__certmaker_challenge.{name}"), format!("_certmaker_challenge.{name}")]
}

impl Validator {
    /// Shows control of a name in CertMaker's way, or why it was not shown. One attempt, within the
    /// configured time.
    pub async fn validate_token(&self, attempt: &TokenAttempt<'_>) -> Result<Shown, Failure> {
        let TokenAttempt { name, method, port, .. } = *attempt;
        let place = || match method {
            Method::CertMakerDns01 => records(name)[0].clone(),
            _ => target(self, name, port, PATH).to_string(),
        };
        self.within_time(name, method, place, self.attempt_token(attempt)).await
    }

    async fn attempt_token(&self, attempt: &TokenAttempt<'_>) -> Result<Shown, Failure> {
        let TokenAttempt { name, method, port, token } = *attempt;
        match (method, name) {
            (Method::CertMakerHttp01, name) => {
                let seen = http01::file(self, name, port, PATH, token).await?;
                Ok(Shown { validator: HTTP01, seen, until: None })
            }
            (Method::CertMakerDns01, Name::Dns(_)) => {
                let [servers, clients] = records(name);
                let both = tokio::join!(
                    dns01::find(self, DNS01, &servers, token, ""),
                    dns01::find(self, DNS01, &clients, token, "")
                );
                match both {
                    (shown @ Ok(_), _) | (Err(_), shown @ Ok(_)) => shown,
                    (failure, _) => failure,
                }
            }
            (method, name) => {
                let detail = format!("{} cannot show control of {name}", method.as_str());
                Err(Failure::new(FailureKind::Unauthorized, Retry::No, detail))
            }
        }
    }
}
