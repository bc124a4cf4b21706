//! Every requirement of the ACME documents, shown by a client against a running Signet.
//!
//! A check is a function that panics when the server is wrong, and names the rows that it shows. What
//! came of them all is docs/acme-conformance.md; this test fails when a MUST has no check that
//! passes, when a check fails, or when the document is not what the checks say. `BLESS=1` writes the
//! document; `ONLY=word` runs only the checks with that word in their names, and no document.

mod checks;
mod der;
mod hostile;
mod jose;
mod peer;
mod report;
mod responders;
mod rows;
mod run;
mod world;

use report::Report;
use world::World;

#[test]
fn the_server_does_what_the_documents_ask() {
    let only = std::env::var("ONLY").ok();
    let world = World::start();
    let outcomes = run::all(&world, only.as_deref().unwrap_or_default());
    let report = Report::new(outcomes);
    report.print();
    if only.is_some() {
        assert!(report.failures().is_empty(), "{}", report.failures().join("\n"));
        return;
    }
    let faults = [report.failures(), report.gaps(), report.compare()].concat();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn hostile_requests_get_problem_documents_and_leave_the_server_well() {
    hostile::run();
}
