//! The part of `[acme]` that is about orders and authorizations.

use std::time::Duration;

use policy::evidence::Method;
use toml::Spanned;

use super::Switch;
use super::parse::{DAY, MILLISECOND, MINUTE, Wrong, YEAR, duration, wrong};
use super::raw;

/// What the ACME surface does with orders and authorizations.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Orders {
    /// The challenges that are offered, where profile and identifier allow them.
    pub challenges: Vec<Method>,
    /// How long finalize waits for the token before it answers that the order is `processing`.
    #[serde(serialize_with = "super::shown::time")]
    pub finalize_patience: Duration,
    /// Whether newAuthz is served (RFC 8555 section 7.4.1).
    pub pre_authorization: Switch,
    /// How long orders and authorizations are kept after they can be used no more.
    #[serde(serialize_with = "super::shown::time")]
    pub retention: Duration,
    /// Whether a new order uses what the account has shown before.
    pub reuse_authorizations: Switch,
    /// Whether uPKI's forms that RFC 8555 forbids are served: plain GET on orders, authorizations and
    /// certificates, and key authorizations under `/.well-known/acme-challenge/`.
    pub upki_forms: Switch,
}

impl Default for Orders {
    fn default() -> Self {
        Self {
            challenges: vec![Method::Http01, Method::Dns01, Method::TlsAlpn01],
            finalize_patience: Duration::from_secs(2),
            pre_authorization: Switch::Off,
            retention: DAY,
            reuse_authorizations: Switch::On,
            upki_forms: Switch::Off,
        }
    }
}

pub(super) fn parse(raw: &mut raw::Acme) -> Result<Orders, Wrong> {
    let default = Orders::default();
    let reuse_authorizations = raw.reuse_authorizations.map_or(default.reuse_authorizations, Switch::from);
    let pre_authorization = match raw.pre_authorization.take() {
        Some(asked) if *asked.get_ref() && reuse_authorizations == Switch::Off => {
            return wrong(
                &asked,
                "an authorization in advance serves orders that reuse it: write `reuse_authorizations = true`",
            );
        }
        asked => asked.map_or(default.pre_authorization, |asked| asked.into_inner().into()),
    };
    let challenges = match raw.challenges.take() {
        None => default.challenges,
        Some(list) => challenges(list)?,
    };
    Ok(Orders {
        challenges,
        finalize_patience: duration(raw.finalize_patience.as_ref(), "2s", MILLISECOND..=MINUTE)?,
        pre_authorization,
        retention: duration(raw.retention.as_ref(), "24h", MINUTE..=YEAR)?,
        reuse_authorizations,
        upki_forms: raw.upki_forms.map_or(default.upki_forms, Switch::from),
    })
}

fn challenges(list: Spanned<Vec<Spanned<Method>>>) -> Result<Vec<Method>, Wrong> {
    if list.get_ref().is_empty() {
        return wrong(&list, "nobody could show control of a name: write for example `challenges = [\"http-01\"]`");
    }
    let mut challenges = Vec::new();
    for one in list.into_inner() {
        let method = *one.get_ref();
        if !method.is_challenge() {
            return wrong(&one, format!("`{}` is no challenge: write for example \"http-01\"", method.as_str()));
        }
        if challenges.contains(&method) {
            return wrong(&one, format!("\"{}\" is named twice: remove one", method.as_str()));
        }
        challenges.push(method);
    }
    Ok(challenges)
}
