//! A full ACME order whose name is validated already: newOrder, finalize, download.

use std::time::{Duration, Instant};

use super::Line;
use super::process::{ALL, Syncs, cpu};
use crate::acme::load::Plan;
use crate::acme::{Client, SubjectKey};
use crate::rig::{Failure, Rig};

/// Orders in one measurement of CPU.
const ORDERS: usize = 600;
/// Orders in one measurement of syncs, which is slow.
const TRACED: usize = 64;

pub(super) fn lines(rig: &Rig) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    let plan = rig.plan(1);
    for clients in [1, 8] {
        let mut workers = (0..clients).map(|number| Worker::new(&plan, number)).collect::<Result<Vec<_>, _>>()?;
        let before = cpu(rig, &ALL);
        let took = order(&mut workers, ORDERS / clients)?;
        let done = ORDERS / clients * clients;
        let each = (cpu(rig, &ALL) - before) / u32::try_from(done).unwrap_or(1);
        let syncs = Syncs::start(rig)?;
        order(&mut workers, TRACED / clients)?;
        let syncs = syncs.stop()? as f64 / (TRACED / clients * clients) as f64;
        let whom = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
        lines.push(Line::new(
            format!("CPU of a full order, {whom}, all processes"),
            format!("{:.2} ms", each.as_secs_f64() * 1000.0),
            "<= 1.2 ms",
        ));
        lines.push(Line::new(
            format!("syncs to disk of a full order, {whom}"),
            format!("{syncs:.1}"),
            "journal and store, grouped",
        ));
        lines.push(Line::new(format!("full orders, {whom}"), format!("{:.0}/s", done as f64 / took.as_secs_f64()), ""));
    }
    Ok(lines)
}

/// Lets every worker complete so many orders, all at once; how long it took.
fn order(workers: &mut [Worker], each: usize) -> Result<Duration, Failure> {
    let started = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            workers.iter_mut().map(|worker| scope.spawn(|| (0..each).try_for_each(|_| worker.order()))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client panicked".to_owned())?)
    })?;
    Ok(started.elapsed())
}

/// A client with a name that is validated, and a CSR for it.
struct Worker {
    client: Client,
    name: String,
    csr: Vec<u8>,
}

impl Worker {
    fn new(plan: &Plan, number: usize) -> Result<Self, Failure> {
        let Plan { directory, tls, responder, patience, .. } = plan.clone();
        let mut client = Client::new(&directory, tls, responder, patience)?;
        client.register()?;
        let name = format!("bench-{number}.example.test");
        client.obtain(&name)?;
        let csr = SubjectKey::generate().csr(&name);
        Ok(Self { client, name, csr })
    }

    fn order(&mut self) -> Result<(), Failure> {
        let order = self.client.order(&self.name)?;
        self.client.finish(&order, &self.csr).map(drop)
    }
}
