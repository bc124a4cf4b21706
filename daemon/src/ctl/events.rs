//! `signetctl events`

use clap::Args;
use serde_json::Value;

use super::client::{OnExpired, with_query};
use super::{CtlError, Session, table};
use crate::api::admin::events::{self, Parameters};

/// What happened: the CA signer's journal, as events
#[derive(Args)]
pub(super) struct Events {
    /// Begin after the event with this number
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    after: u64,
    /// Go on for ever with what happens
    #[arg(long)]
    follow: bool,
    /// Begin so many events before the last one, instead
    #[arg(long, value_name = "COUNT", conflicts_with = "after")]
    last: Option<u64>,
}

pub(super) fn run(session: &Session, asked: &Events) -> Result<(), CtlError> {
    let mut parameters = Parameters { after: asked.after, wait: 0 };
    if let Some(count) = asked.last {
        let beyond = Parameters { after: u64::MAX, wait: 0 };
        parameters.after = read(session, &beyond)?.last.saturating_sub(count);
    }
    loop {
        let found = read(session, &parameters)?;
        for event in &found.events {
            show(session, event)?;
            parameters.after = event["seq"].as_u64().unwrap_or(parameters.after);
        }
        if found.events.is_empty() {
            match asked.follow {
                true => parameters.wait = PATIENCE,
                false => return Ok(()),
            }
        }
    }
}

fn read(session: &Session, parameters: &Parameters) -> Result<events::Events, CtlError> {
    session.client.get(&with_query("/admin/v1/events", parameters)?, OnExpired::Refuse)
}

/// One line an event: for programs the entry, for people its number, time, actor, type and particulars.
fn show(session: &Session, event: &Value) -> Result<(), CtlError> {
    if session.json {
        return table::write(&format!("{event}\n"));
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let happened = &event["event"];
    let particulars =
        happened.as_object().into_iter().flatten().filter(|(field, _)| *field != "type").map(|(field, value)| {
            let value: String = text(value).chars().take(MOST).collect();
            format!("{field}={value}")
        });
    let particulars: Vec<String> = particulars.collect();
    let line = [
        text(&event["seq"]),
        table::time(event["at"].as_u64().unwrap_or(0)),
        text(&event["actor"]).chars().take(22).collect(),
        text(&happened["type"]),
        particulars.join(" "),
    ];
    table::write(&format!("{}\n", table::printable(&line.join("  "))))
}

/// How many seconds the appliance waits for something to happen.
const PATIENCE: u64 = 15;

/// Characters of one particular.
const MOST: usize = 60;
