//! `signetctl limits list | explain | failing | release`

use clap::Subcommand;

use super::client::OnExpired;
use super::table::{table, time};
use super::{CtlError, Session};
use crate::api::admin::limits::Whom;
use crate::service::limits::{Explained, Failing, Released, Rule, Standing, Subject};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the limits as they are configured, and how often each refused somebody
    List,
    /// Show every limit that applies to somebody: what is left, and when it is refilled
    Explain {
        /// A name, an account (its URL or the last part of it), or an address
        #[arg(value_name = "NAME|ACCOUNT|ADDRESS")]
        subject: String,
    },
    /// List accounts and names whose validations failed lately
    Failing {
        /// Only those that are paused until they are released
        #[arg(long)]
        paused: bool,
    },
    /// Give somebody back what is missing and end his pauses; what caused them must be put right first
    Release {
        /// A name, an account (its URL or the last part of it), or an address
        #[arg(value_name = "NAME|ACCOUNT|ADDRESS")]
        subject: String,
    },
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    match verb {
        Verb::List => {
            let rules: Vec<Rule> = session.client.get("/admin/v1/limits", OnExpired::Refuse)?;
            session.show(&rules, |rules| table(["LIMIT", "ALLOWED", "REFUSED"], rules.iter().map(rule)))
        }
        Verb::Explain { subject } => {
            let path = format!("/admin/v1/limits/explain?subject={}", check(subject)?);
            let explained: Explained = session.client.get(&path, OnExpired::Refuse)?;
            session.show(&explained, explanation)
        }
        Verb::Failing { paused } => {
            let path = format!("/admin/v1/limits/failing?paused={paused}");
            let failing: Vec<Failing> = session.client.get(&path, OnExpired::Refuse)?;
            session.show(&failing, |failing| failures(failing))
        }
        Verb::Release { subject } => {
            let body = Whom { subject: check(subject)? };
            let released: Released = session.client.post("/admin/v1/limits/release", &body, OnExpired::Refuse)?;
            session.show(&released, release)
        }
    }
}

/// Checked here, because what is none of the three may be no URL either.
fn check(subject: &str) -> Result<String, CtlError> {
    let subject = Subject::parse(subject).map_err(|error| CtlError::Failed(error.to_string()))?;
    Ok(subject.to_string())
}

fn rule(rule: &Rule) -> [String; 3] {
    let allowed = rule.allowed.clone().unwrap_or_else(|| "off".to_owned());
    [rule.limit.name().to_owned(), allowed, rule.refused.to_string()]
}

fn explanation(explained: &Explained) -> String {
    let mut text =
        table(["LIMIT", "COUNTED", "ALLOWED", "LEFT", "NEXT", "FULL"], explained.limits.iter().map(standing));
    if !explained.failing.is_empty() {
        text.push('\n');
        text.push_str(&failures(&explained.failing));
    }
    text
}

fn standing(standing: &Standing) -> [String; 6] {
    let at = |at: Option<u64>| at.map_or("now".to_owned(), time);
    let (limit, counted) = (standing.limit.name().to_owned(), standing.counted.clone());
    match (&standing.rate, standing.left) {
        (Some(rate), Some(left)) => {
            [limit, counted, rate.clone(), left.to_string(), at(standing.next_at), at(standing.full_at)]
        }
        _ => [limit, counted, "no limit".to_owned(), String::new(), String::new(), String::new()],
    }
}

fn failures(failing: &[Failing]) -> String {
    let row = |one: &Failing| {
        let paused = one.paused.map_or(String::new(), time);
        [one.account.clone(), one.name.clone(), one.in_a_row.to_string(), time(one.last), paused, one.why.clone()]
    };
    table(["ACCOUNT", "NAME", "FAILURES IN A ROW", "LAST", "PAUSED SINCE", "WHY"], failing.iter().map(row))
}

fn release(released: &Released) -> String {
    let limits = released.limits.iter().map(|limit| format!("{}: given back\n", limit.name()));
    let failing = released.failing.iter().map(|one| {
        let was = if one.paused.is_some() { "no longer paused" } else { "failures forgotten" };
        format!("{} for account {}: {was}\n", one.name, one.account)
    });
    limits.chain(failing).collect()
}
