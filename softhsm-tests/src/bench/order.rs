//! Full ACME orders: newOrder, finalize, download, with names that are validated already, and with
//! names that are validated by http-01 in each order.

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

/// Whether an order finds its name validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// Each order has a name of its own, and shows control of it.
    Fresh,
    /// Each client orders for one name, again and again.
    Validated,
}

pub(super) fn lines(rig: &Rig) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    let plan = rig.plan(1);
    for names in [Names::Validated, Names::Fresh] {
        for clients in [1, 8] {
            let mut workers =
                (0..clients).map(|number| Worker::new(&plan, names, number)).collect::<Result<Vec<_>, _>>()?;
            // What only the first orders cost is not counted.
            order(&mut workers, TRACED / clients)?;
            let before = cpu(rig, &ALL);
            let (took, mut each) = order(&mut workers, ORDERS / clients)?;
            let done = each.len();
            let cost = (cpu(rig, &ALL) - before) / u32::try_from(done).unwrap_or(1);
            let whom = if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") };
            let (what, budget) = match names {
                Names::Fresh => ("an order with http-01", ""),
                Names::Validated => ("a full order", "<= 1.2 ms"),
            };
            lines.push(Line::new(
                format!("CPU of {what}, {whom}, all processes"),
                format!("{:.2} ms", milliseconds(cost)),
                budget,
            ));
            each.sort_unstable();
            let (half, most) = (each[done / 2], each[done * 99 / 100]);
            lines.push(Line::new(
                format!("time of {what}, {whom}, p50 / p99"),
                format!("{:.1} / {:.1} ms", milliseconds(half), milliseconds(most)),
                "",
            ));
            let rate = done as f64 / took.as_secs_f64();
            lines.push(Line::new(format!("rate of {what}, {whom}"), format!("{rate:.0}/s"), ""));
            if names == Names::Validated {
                let syncs = Syncs::start(rig)?;
                let (_, traced) = order(&mut workers, TRACED / clients)?;
                let syncs = syncs.stop()? as f64 / traced.len() as f64;
                lines.push(Line::new(
                    format!("syncs to disk of {what}, {whom}"),
                    format!("{syncs:.1}"),
                    "journal and store, grouped",
                ));
            }
        }
    }
    Ok(lines)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Lets every worker complete so many orders, all at once; how long it took, and each order.
fn order(workers: &mut [Worker], each: usize) -> Result<(Duration, Vec<Duration>), Failure> {
    let started = Instant::now();
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| scope.spawn(|| (0..each).map(|_| worker.order()).collect::<Result<Vec<_>, _>>()))
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| "a client panicked".to_owned())?);
        joined.collect::<Result<Vec<_>, Failure>>()
    })?;
    Ok((started.elapsed(), times.concat()))
}

/// A client with a name that is validated, and a CSR for it.
struct Worker {
    client: Client,
    names: Names,
    name: String,
    csr: Vec<u8>,
    orders: usize,
}

impl Worker {
    fn new(plan: &Plan, names: Names, number: usize) -> Result<Self, Failure> {
        let Plan { directory, tls, responder, patience, .. } = plan.clone();
        let mut client = Client::new(&directory, tls, responder, patience)?;
        client.register()?;
        let name = format!("bench-{number}.example.test");
        client.obtain(&name)?;
        let csr = SubjectKey::generate().csr(&name);
        Ok(Self { client, names, name, csr, orders: 0 })
    }

    /// How long it took.
    fn order(&mut self) -> Result<Duration, Failure> {
        self.orders += 1;
        if self.names == Names::Fresh {
            let name = format!("order-{}.{}", self.orders, self.name);
            let csr = SubjectKey::generate().csr(&name);
            let started = Instant::now();
            let order = self.client.order(&name)?;
            self.client.authorize(&order)?;
            self.client.finish(&order, &csr)?;
            return Ok(started.elapsed());
        }
        let started = Instant::now();
        let order = self.client.order(&self.name)?;
        self.client.finish(&order, &self.csr)?;
        Ok(started.elapsed())
    }
}
