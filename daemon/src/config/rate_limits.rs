//! `[rate_limits]`: how much one client, one name and everybody together may ask for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::Network;
use super::parse::{Wrong, number, wrong};

/// How much may be asked for. A rate that is absent is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimits {
    /// New accounts, in all.
    pub accounts: Option<Rate>,
    /// New accounts from one address.
    pub accounts_per_address: Option<Rate>,
    /// Connections from one address that are open at a time, on each listener.
    pub connections_per_address: Option<u32>,
    /// Addresses whose requests are not counted by address: a proxy's, a monitor's.
    pub exempt_networks: Vec<Network>,
    /// Whether an order that replaces a certificate (RFC 9773) is counted.
    pub renewals: Renewals,
    /// Failed validations of one account for one name.
    pub failures: Option<Rate>,
    /// Leading bits of an IPv4 address that count as one address.
    pub ipv4_prefix: u8,
    /// Leading bits of an IPv6 address that count as one address.
    pub ipv6_prefix: u8,
    /// How many labels at the end of a name make its registered name.
    pub name_labels: usize,
    /// New orders, in all.
    pub orders: Option<Rate>,
    /// New orders of one account.
    pub orders_per_account: Option<Rate>,
    /// New orders from one address.
    pub orders_per_address: Option<Rate>,
    /// New orders for one registered name.
    pub orders_per_name: Option<Rate>,
    /// Failed validations in a row, of one account for one name, after which it is paused.
    pub pause_after: Option<u32>,
    /// ACME requests from one address.
    pub requests_per_address: Option<Rate>,
    /// Attempts to sign in to one account of the Notary dialect.
    pub sign_ins_per_account: Option<Rate>,
    /// Attempts to sign in from one address.
    pub sign_ins_per_address: Option<Rate>,
    /// Validations of one account that are under way at a time.
    pub validations_per_account: Option<u32>,
}

/// Whether orders that replace a certificate are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Renewals {
    /// As any other.
    Counted,
    /// They are always possible: they keep up what is there.
    Exempt,
}

/// So many at once, and as many again, evenly, in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    burst: u32,
    period: Duration,
}

/// The text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate: write for example \"300 per 1h\" (at most 1000000 in a second), or \"off\" for no limit")]
pub struct RateError(String);

impl Rate {
    /// How many at once; at least 1.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// In which time as many become possible again; at least a second, at most 400 days.
    pub fn period(self) -> Duration {
        self.period
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let rate = || {
            let (burst, period) = text.split_once(" per ")?;
            let burst = burst.trim().parse().ok().filter(|burst: &u32| *burst > 0)?;
            let period = humantime::parse_duration(period.trim()).ok()?;
            let possible = (MIN_PERIOD..=MAX_PERIOD).contains(&period) && u128::from(burst) <= period.as_micros();
            possible.then_some(Self { burst, period })
        };
        rate().ok_or_else(|| RateError(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.burst, humantime::format_duration(self.period))
    }
}

/// The section as it stands in the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    accounts: Option<Spanned<String>>,
    accounts_per_address: Option<Spanned<String>>,
    connections_per_address: Option<Spanned<u64>>,
    exempt_networks: Option<Vec<Spanned<String>>>,
    exempt_renewals: Option<bool>,
    failures: Option<Spanned<String>>,
    ipv4_prefix: Option<Spanned<u64>>,
    ipv6_prefix: Option<Spanned<u64>>,
    name_labels: Option<Spanned<u64>>,
    orders: Option<Spanned<String>>,
    orders_per_account: Option<Spanned<String>>,
    orders_per_address: Option<Spanned<String>>,
    orders_per_name: Option<Spanned<String>>,
    pause_after: Option<Spanned<u64>>,
    requests_per_address: Option<Spanned<String>>,
    sign_ins_per_account: Option<Spanned<String>>,
    sign_ins_per_address: Option<Spanned<String>>,
    validations_per_account: Option<Spanned<u64>>,
}

pub(super) fn parse(raw: Raw) -> Result<RateLimits, Wrong> {
    let network = |text: &Spanned<String>| match text.get_ref().parse() {
        Ok(network) => Ok(network),
        Err(error) => wrong(text, super::NetworkError::to_string(&error)),
    };
    Ok(RateLimits {
        accounts: rate(raw.accounts.as_ref(), "10000 per 1h")?,
        accounts_per_address: rate(raw.accounts_per_address.as_ref(), "200 per 1h")?,
        connections_per_address: count(raw.connections_per_address.as_ref(), 256)?,
        exempt_networks: raw.exempt_networks.unwrap_or_default().iter().map(network).collect::<Result<_, _>>()?,
        renewals: if raw.exempt_renewals.unwrap_or(true) { Renewals::Exempt } else { Renewals::Counted },
        failures: rate(raw.failures.as_ref(), "20 per 1h")?,
        ipv4_prefix: number(raw.ipv4_prefix.as_ref(), 32, 8..=32)?,
        ipv6_prefix: number(raw.ipv6_prefix.as_ref(), 64, 16..=128)?,
        name_labels: number(raw.name_labels.as_ref(), 3, 1..=10)?,
        orders: rate(raw.orders.as_ref(), "100000 per 1h")?,
        orders_per_account: rate(raw.orders_per_account.as_ref(), "2000 per 1h")?,
        orders_per_address: rate(raw.orders_per_address.as_ref(), "5000 per 1h")?,
        orders_per_name: rate(raw.orders_per_name.as_ref(), "500 per 1h")?,
        pause_after: count(raw.pause_after.as_ref(), 100)?,
        requests_per_address: rate(raw.requests_per_address.as_ref(), "12000 per 1m")?,
        sign_ins_per_account: rate(raw.sign_ins_per_account.as_ref(), "120 per 1h")?,
        sign_ins_per_address: rate(raw.sign_ins_per_address.as_ref(), "600 per 1h")?,
        validations_per_account: count(raw.validations_per_account.as_ref(), 200)?,
    })
}

fn rate(raw: Option<&Spanned<String>>, default: &str) -> Result<Option<Rate>, Wrong> {
    let text = raw.map_or(default, |raw| raw.get_ref());
    if text == "off" {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error: RateError| Wrong { at: raw.map_or(0..0, Spanned::span), problem: error.to_string() })
}

/// A number, of which 0 means no limit.
fn count(raw: Option<&Spanned<u64>>, default: u64) -> Result<Option<u32>, Wrong> {
    let count = number(raw, default, 0..=1_000_000)?;
    Ok((count > 0).then_some(count))
}

const MIN_PERIOD: Duration = Duration::from_secs(1);
const MAX_PERIOD: Duration = Duration::from_secs(400 * 86_400);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        let rate: Rate = "300 per 3h".parse().unwrap();
        assert_eq!((rate.burst(), rate.period()), (300, Duration::from_secs(3 * 3600)));
        for text in ["", "300", "0 per 1h", "300 per 10ms", "2000000 per 1s", "1 per 2years", "-1 per 1h", "1per1h"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_survives_writing_and_reading(burst in 1..=1_000_000u32, seconds in 1..=34_560_000u64) {
            let rate = Rate { burst, period: Duration::from_secs(seconds) };
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Rate>();
        }
    }
}
