//! From the start of `signetd` to its READY=1, with an empty store and with a large one.

use std::time::Duration;

use daemon::store::tables::{CERTIFICATES, CertificateRecord, index_certificate};
use daemon::store::{self, Change, EngineKind, Store};
use policy::evidence::AuthorizationRecord;
use policy::serial::Serial;
use rustix::process::Signal;

use super::Line;
use crate::rig::{Engine, Failure, Options, Rig, down};
use crate::wait::wait_until;

const CERTIFICATES_IN_STORE: u32 = 200_000;
const BATCH: u32 = 500;
const STARTS: u32 = 5;
/// A large store of sled takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn lines() -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for engine in [Engine::Sqlite, Engine::Sled] {
        let budget = if engine == Engine::Sqlite { "< 300 ms, whatever the number" } else { "" };
        let options = Options { engine: Some(engine), ..Options::default() };
        let rig = Rig::start(&options);
        for count in [0, CERTIFICATES_IN_STORE] {
            if count > 0 {
                down(&rig.layout)?;
                fill(&rig, engine, count)?;
                rig.up(&options);
            }
            let what = format!("start to ready, {engine}, {count} certificates");
            let ready = start_to_ready(&rig)?;
            lines.push(Line::new(what, format!("{:.0} ms", ready.as_secs_f64() * 1000.0), budget));
        }
    }
    Ok(lines)
}

/// The median of several starts.
fn start_to_ready(rig: &Rig) -> Result<Duration, Failure> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let before = rig.service("signetd").restarts;
        rig.signal("signetd", Signal::TERM);
        wait_until("signetd is ready again", PATIENCE, || {
            let health = rig.service("signetd");
            health.restarts > before && health.ready
        })?;
        times.push(rig.service("signetd").ready_after);
    }
    times.sort_unstable();
    Ok(Duration::from_micros(times[times.len() / 2]))
}

/// Puts certificates into the store of a rig that is down: the first one, over and over, each time
/// with another serial number in its keys.
fn fill(rig: &Rig, engine: Engine, count: u32) -> Result<(), Failure> {
    fill_with(rig, engine, count, |_, _| Ok(()))
}

/// The same, with a change to each of them, by its number.
pub(super) fn fill_with(
    rig: &Rig,
    engine: Engine,
    count: u32,
    differ: impl Fn(u32, &mut CertificateRecord) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let fault = |error: &dyn std::fmt::Display| error.to_string();
    let kind = match engine {
        Engine::Sled => EngineKind::Sled,
        Engine::Sqlite => EngineKind::Sqlite,
    };
    let store = Store::new(store::open(kind, &rig.record().store(&rig.layout)).map_err(|error| fault(&error))?);
    let whole = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let rows = store.scan(&CERTIFICATES, whole, 1, false).map_err(|error| fault(&error))?;
    let model = rows.into_iter().next().map(|(_, row)| row.value).ok_or("the store has no certificate")?;
    for batch in 0..count / BATCH {
        let mut change = Change::new();
        for number in batch * BATCH..(batch + 1) * BATCH {
            let mut serial = [0x11; 20];
            // Spread like random ones are.
            serial[1..5].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
            let serial = Serial::from_slice(&serial).map_err(|error| fault(&error))?;
            let record = AuthorizationRecord { request_id: number.to_string(), ..model.record.clone() };
            let mut record = CertificateRecord { serial, record, ..model.clone() };
            differ(number, &mut record)?;
            change.put(&CERTIFICATES, serial.as_bytes(), &record);
            index_certificate(&mut change, &record);
        }
        store.commit_blocking(change).map_err(|error| fault(&error))?;
    }
    Ok(())
}
