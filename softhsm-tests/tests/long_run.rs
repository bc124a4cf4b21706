//! Thousands of orders, one after the other: the cost of an order does not grow with how many there
//! were before, and neither does the memory of the daemons.
//!
//! `SIGNET_LONG_RUN_ORDERS` says how many; a thousand without it.

use std::time::Duration;

use softhsm_tests::acme::Client;
use softhsm_tests::acme::load::Plan;
use softhsm_tests::bench::{ALL, cpu, resident};
use softhsm_tests::rig::{Options, Rig};

const ORDERS: usize = 1000;
const CLIENTS: usize = 4;
/// Most that the last quarter of the orders may cost, in CPU time against the first one. Quarters of a
/// few hundred orders differ by a third on a machine that does something else, too.
const GROWTH: f64 = 1.2;
const GROWTH_OF_FEW: f64 = 1.6;
/// Most that the daemons together may grow in the second half, in bytes, while the store's caches are
/// still filling up: they hold the rows of the first 3,000 orders or so.
const WHILE_FILLING: u64 = 12 << 20;
/// The same when the caches are full: nothing for each order.
const WHEN_FULL: u64 = 3 << 20;
/// From so many orders on the caches are full in the second half.
const FULL: usize = 10_000;

#[test]
fn the_last_orders_of_a_long_run_cost_what_the_first_ones_did() {
    let orders = match std::env::var("SIGNET_LONG_RUN_ORDERS") {
        Ok(text) => text.parse().expect("SIGNET_LONG_RUN_ORDERS is a number"),
        Err(_) => ORDERS,
    };
    let rig = Rig::start(&Options::default());
    let plan = rig.plan(CLIENTS);
    let mut clients: Vec<Orderer> = (0..CLIENTS).map(|number| Orderer::new(&plan, number)).collect();
    // What only the first orders cost: connections, prepared statements, the first pages of caches.
    order(&mut clients, 100);
    let quarters: Vec<(Duration, u64)> = (0..4)
        .map(|_| {
            let before = cpu(&rig, &ALL);
            order(&mut clients, orders / 4);
            (cpu(&rig, &ALL) - before, resident(&rig, &ALL))
        })
        .collect();
    let each = |(cpu, _): &(Duration, u64)| cpu.as_secs_f64() * 1000.0 / (orders / 4) as f64;
    let costs: Vec<String> = quarters.iter().map(|quarter| format!("{:.2} ms", each(quarter))).collect();
    let memory: Vec<String> = quarters.iter().map(|(_, bytes)| format!("{:.1} MB", *bytes as f64 / 1e6)).collect();
    println!("{orders} orders: CPU of an order {costs:?}, memory {memory:?}");
    let growth = each(&quarters[3]) / each(&quarters[0]);
    let most = if orders < FULL { GROWTH_OF_FEW } else { GROWTH };
    assert!(growth < most, "an order costs {growth:.2} times what it did: {costs:?}");
    let grown = quarters[3].1.saturating_sub(quarters[1].1);
    let most = if orders < FULL { WHILE_FILLING } else { WHEN_FULL };
    assert!(grown < most, "the daemons grew by {grown} bytes: {memory:?}");
    let issued: usize = clients.iter().map(|client| client.orders).sum();
    let verified = rig.verify(&[]);
    println!("{verified:?}");
    assert_eq!(verified.complete, issued);
}

/// Lets the clients complete so many orders together.
fn order(clients: &mut [Orderer], orders: usize) {
    let each = orders / clients.len();
    std::thread::scope(|scope| {
        for client in clients {
            scope.spawn(move || (0..each).for_each(|_| client.order()));
        }
    });
}

/// A client whose every order is for a name of its own.
struct Orderer {
    client: Client,
    number: usize,
    orders: usize,
}

impl Orderer {
    fn new(plan: &Plan, number: usize) -> Self {
        let client = Client::new(&plan.directory, plan.tls.clone(), plan.responder.clone(), plan.patience);
        let mut client = client.expect("a client");
        client.register().expect("an account");
        Self { client, number, orders: 0 }
    }

    fn order(&mut self) {
        let name = format!("order-{}.client-{}.example.test", self.orders, self.number);
        self.client.obtain(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        self.orders += 1;
    }
}
