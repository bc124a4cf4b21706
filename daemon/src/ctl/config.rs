//! `signetctl config show`

use clap::Subcommand;
use serde_json::Value;

use super::client::OnExpired;
use super::table::{fields, table, time};
use super::{CtlError, Session};
use crate::api::admin::config::Config;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Show every setting in force, defaults included
    ///
    /// What the daemon was told when it started, and the log level of its last reload. `signetd check` says what the
    /// file says now. There is no secret in it.
    Show {
        /// Only settings that begin so, such as `acme` or `limits.body`
        #[arg(value_name = "SETTING", default_value = "")]
        prefix: String,
    },
}

pub(super) fn run(session: &Session, verb: &Verb) -> Result<(), CtlError> {
    let Verb::Show { prefix } = verb;
    let config: Config = session.client.get("/admin/v1/config", OnExpired::Refuse)?;
    session.show(&config, |config| {
        let mut rows = Vec::new();
        for (section, value) in &config.settings {
            flatten(section, value, &mut rows);
        }
        let rows = rows.into_iter().filter(|[setting, _]| setting.starts_with(prefix.as_str()));
        let head = fields(&[("file", config.file.clone()), ("read", time(config.read))]);
        format!("{head}\n{}", table(["SETTING", "VALUE"], rows))
    })
}

/// One row a value that is no object.
fn flatten(setting: &str, value: &Value, rows: &mut Vec<[String; 2]>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| flatten(&format!("{setting}.{name}"), value, rows));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(at, item)| flatten(&format!("{setting}.{}", at + 1), item, rows));
        }
        Value::Array(items) => rows.push([setting.to_owned(), items.iter().map(text).collect::<Vec<_>>().join(", ")]),
        value => rows.push([setting.to_owned(), text(value)]),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_row_by_its_place() {
        let mut rows = Vec::new();
        let value = serde_json::json!({"a": null, "b": ["x", "y"], "c": [{"d": 1}, {"d": true}]});
        flatten("s", &value, &mut rows);
        let rows: Vec<String> = rows.iter().map(|row| row.join("=")).collect();
        assert_eq!(rows, ["s.a=-", "s.b=x, y", "s.c.1.d=1", "s.c.2.d=true"]);
    }
}
