//! A bad network between clients and server: everything that is ordered is issued, once.
//!
//! `SIGNET_CHAOS_SEED` repeats the chances of a run, as far as threads let it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use softhsm_tests::acme::load::Plan;
use softhsm_tests::acme::{Client, Issued};
use softhsm_tests::chaos::{Faults, Proxy};
use softhsm_tests::ports;
use softhsm_tests::rig::{Options, Rig};

const CLIENTS: usize = 8;
/// Orders of each client.
const ORDERS: usize = 100;
/// How long one step is tried.
const PATIENCE: Duration = Duration::from_secs(120);
/// Five of a hundred each.
const FAULTS: Faults = Faults { bad_nonce: 50, lost_answer: 50, duplicated: 50, cut: 50 };

#[test]
fn every_order_behind_a_bad_network_is_finished_and_certified_once() {
    let seed = match std::env::var("SIGNET_CHAOS_SEED") {
        Ok(text) => text.parse().expect("SIGNET_CHAOS_SEED is a number"),
        Err(_) => random(),
    };
    println!("SIGNET_CHAOS_SEED={seed}");
    let port = ports::free().expect("a port");
    let settings = format!("public_url = \"https://127.0.0.1:{port}\"\n");
    let rig = Rig::start(&Options { settings: Some(settings), ..Options::default() });
    let plan = rig.plan(CLIENTS);
    let server = plan.directory.trim_start_matches("https://").split('/').next().expect("an authority").to_owned();
    let proxy = Proxy::start(rig.directory(), port, &server, plan.tls.clone(), FAULTS, seed).expect("a proxy");
    let plan = Plan {
        directory: format!("https://127.0.0.1:{port}/directory"),
        tls: proxy.tls.clone(),
        patience: PATIENCE,
        ..plan
    };

    let issued: Vec<Issued> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let plan = &plan;
                    move || run(plan, number)
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client that finishes")).collect()
    });
    let done = proxy.done();
    println!("{} orders, {done:?}", issued.len());
    assert_eq!(issued.len(), CLIENTS * ORDERS);
    // Each fault did happen, about as often as it should.
    let requests = done.requests.load(Ordering::Relaxed);
    for (count, share) in [
        (&done.bad_nonces, FAULTS.bad_nonce),
        (&done.lost_answers, FAULTS.lost_answer),
        (&done.duplicated, FAULTS.duplicated),
        (&done.cut, FAULTS.cut),
    ] {
        let (count, expected) = (count.load(Ordering::Relaxed), requests * share / 1000);
        assert!(count > expected / 2, "{count} of {requests}: {done:?}");
    }
    // The journal is read: one certificate for each order that is complete, and every one is held by
    // the client that ordered it, because each client waited for its own.
    let verified = rig.verify(&issued);
    println!("{verified:?}");
    assert_eq!(verified.complete, issued.len(), "an order was completed that no client finished");
}

/// One client's orders, each for a name of its own.
fn run(plan: &Plan, number: usize) -> Vec<Issued> {
    let mut client =
        Client::new(&plan.directory, plan.tls.clone(), plan.responder.clone(), plan.patience).expect("a client");
    client.register().expect("an account");
    let mut issued = Vec::with_capacity(ORDERS);
    for order in 0..ORDERS {
        let name = format!("order-{order}.client-{number}.example.test");
        issued.push(client.obtain(&name).unwrap_or_else(|error| panic!("{name}: {error}")));
    }
    assert!(client.seen.wrong.is_empty(), "client {number} saw {:?}", client.seen.wrong);
    issued
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("random bytes");
    u64::from_be_bytes(bytes)
}
