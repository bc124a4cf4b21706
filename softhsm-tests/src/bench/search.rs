//! Searches in a store with a million certificates: how long a page takes, and what it costs in memory.

use std::time::{Duration, Instant};

use daemon::api::admin::certificates::{Page, Shown};
use policy::evidence::{Method, NameEvidence};
use policy::name::Name;

use super::Line;
use super::process::{ALL, resident};
use super::start::fill_with;
use crate::admin::Admin;
use crate::rig::{Engine, Failure, Options, Rig, down};

/// How many there are, if nobody says otherwise.
pub(super) const CERTIFICATES: u32 = 1_000_000;

/// Pages of each question.
const PAGES: usize = 200;

pub(super) fn lines(certificates: u32) -> Result<Vec<Line>, Failure> {
    let options = Options { engine: Some(Engine::Sqlite), ..Options::default() };
    let rig = Rig::start(&options);
    down(&rig.layout)?;
    fill_with(&rig, Engine::Sqlite, certificates, |number, record| {
        record.profile = if number % 100 == 0 { "client" } else { "server" }.to_owned();
        record.at = record.at.minus(u64::from(number));
        record.record.actor = format!("acme:{:032x}", number % 5000);
        let name = format!("host-{number}.zone-{}.example.test", number % 1000);
        record.record.names = vec![NameEvidence {
            name: Name::parse(&name).map_err(|error| error.to_string())?,
            method: Method::Http01,
            at: record.at,
            validator: "http-01/1".to_owned(),
            seen: None,
            caa: None,
        }];
        Ok(())
    })?;
    rig.up(&options);
    let before = resident(&rig, &ALL);
    let mut admin = Admin::new(&rig.environment);
    let mut lines = Vec::new();
    for (what, question) in [
        ("by name", "name=host-7.zone-7.example.test"),
        ("below a name", "name=*.zone-7.example.test"),
        ("by account", "account=00000000000000000000000000000007"),
        ("by profile", "profile=client"),
        ("by profile and a status that none has", "profile=client&status=revoked"),
        ("holding a text", "name=*zone-77*"),
        ("by serial number", ""),
    ] {
        lines.push(Line::new(
            format!("search {what}, {certificates} certificates, p99 of a page"),
            pages(&mut admin, question)?,
            "< 100 ms",
        ));
    }
    let grown = resident(&rig, &ALL).saturating_sub(before) / (1 << 20);
    lines.push(Line::new("memory that searching took", format!("{grown} MB"), "< 50 MB"));
    Ok(lines)
}

/// The 99th percentile of pages one after the other, beginning anew at the end.
fn pages(admin: &mut Admin, question: &str) -> Result<String, Failure> {
    let mut times = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let cursor_part = cursor.as_ref().map_or(String::new(), |cursor| format!("&cursor={cursor}"));
        let begun = Instant::now();
        let answer = admin.get(&format!("certificates/export?limit=100&{question}{cursor_part}"));
        times.push(begun.elapsed());
        let page: Page<Shown> =
            serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {}", answer.text()))?;
        cursor = page.next;
    }
    times.sort_unstable();
    let p99: Duration = times[times.len() * 99 / 100];
    Ok(format!("{:.1} ms (median {:.1})", p99.as_secs_f64() * 1e3, times[times.len() / 2].as_secs_f64() * 1e3))
}
