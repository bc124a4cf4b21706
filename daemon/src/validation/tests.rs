use std::str::FromStr as _;

use hickory_resolver::proto::rr::rdata::{CNAME, TXT};
use hickory_resolver::proto::rr::{Name as DnsLabels, RData, Record, RecordType};
use proptest::prelude::*;

use super::chain::{Chain, MAX_ALIASES, Step};
use super::*;

#[test]
fn attempts_and_checks_are_counted_by_outcome() {
    let counts = Counts::default();
    let shown = || Shown { validator: "x", seen: Observation { address: None, dns: None }, until: None };
    let failure = |kind, retry| Failure::new(kind, retry, "x");
    counts.validated(Method::Dns01, &Ok(shown()));
    counts.validated(Method::Dns01, &Ok(shown()));
    counts.validated(Method::Http01, &Err(failure(FailureKind::IncorrectResponse, Retry::No)));
    assert_eq!(counts.attempts(), [("dns-01", "shown", 2), ("http-01", "incorrectResponse", 1)]);
    counts.checked(&Ok(CaaCheck { at: UnixTime(1), found: String::new() }));
    counts.checked(&Err(failure(FailureKind::Caa, Retry::No)));
    counts.checked(&Err(failure(FailureKind::Caa, Retry::Yes)));
    assert_eq!(counts.checks(), [("allowed", 1), ("forbidden", 1), ("trouble", 1)]);
}

fn name(number: usize) -> DnsLabels {
    DnsLabels::from_str(&format!("n{number}.test.")).unwrap()
}

fn alias(from: usize, to: usize) -> Record {
    Record::from_rdata(name(from), 60, RData::CNAME(CNAME(name(to))))
}

fn text(at: usize) -> Record {
    Record::from_rdata(name(at), 30, RData::TXT(TXT::new(vec!["x".into()])))
}

#[test]
fn records_of_names_that_no_alias_leads_to_are_not_looked_at() {
    let mut chain = Chain::new(name(0), RecordType::TXT);
    assert!(matches!(chain.step(&[text(1), alias(2, 1)]), Step::Nothing));
    assert!(matches!(chain.step(&[text(2), alias(0, 1)]), Step::Moved));
    assert_eq!((chain.alias().as_deref(), chain.ttl()), (Some("n1.test"), 60));
    assert!(matches!(chain.step(&[text(0), text(1)]), Step::Found(found) if found.len() == 1));
    assert_eq!(chain.ttl(), 30);
}

proptest! {
    #[test]
    fn aliases_lead_to_records_or_to_an_end(
        aliases in prop::collection::vec((0usize..14, 0usize..14), 0..20),
        at in 0usize..14,
    ) {
        let mut records: Vec<Record> = aliases.iter().map(|(from, to)| alias(*from, *to)).collect();
        records.push(text(at));
        // The first alias of a name is the one that counts.
        let next = |from: usize| aliases.iter().find(|(other, _)| *other == from).map(|(_, to)| *to);
        let mut place = 0;
        let mut hops = 0;
        while place != at && hops <= MAX_ALIASES {
            match next(place) {
                Some(to) => (place, hops) = (to, hops + 1),
                None => break,
            }
        }
        let mut chain = Chain::new(name(0), RecordType::TXT);
        match chain.step(&records) {
            Step::Found(_) => prop_assert!(place == at && hops <= MAX_ALIASES),
            Step::TooLong => prop_assert!(hops > MAX_ALIASES),
            Step::Moved => prop_assert!(place != at && hops > 0),
            Step::Nothing => prop_assert!(place != at && hops == 0),
        }
    }
}
