//! The greatest CRL numbers, remembered in the journal itself.

use std::collections::BTreeMap;

use policy::crl::Scope;

use super::{CrlNumber, Event};

/// The greatest numbers of CRLs by issuer and scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers(BTreeMap<(String, Scope), Greatest>);

/// The greatest numbers of one issuer and scope; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Greatest {
    pub(crate) complete: u64,
    pub(crate) delta: u64,
}

impl Greatest {
    /// What the number of the next CRL must be greater than. A delta CRL may have the number of the
    /// complete one that is made with it, and the other way round.
    pub(crate) fn above(self, base: Option<u64>) -> u64 {
        let (same, other) = match base {
            None => (self.complete, self.delta),
            Some(_) => (self.delta, self.complete),
        };
        same.max(other.saturating_sub(1))
    }

    fn take(&mut self, number: u64, base: Option<u64>) {
        let greatest = if base.is_some() { &mut self.delta } else { &mut self.complete };
        *greatest = number.max(*greatest);
    }
}

/// Most in one entry: with the longest labels they fit a line.
const MOST: usize = 300;

impl Numbers {
    /// The greatest so far.
    pub(crate) fn get(&self, issuer: &str, scope: Scope) -> Greatest {
        self.0.get(&(issuer.to_owned(), scope)).copied().unwrap_or_default()
    }

    /// Remembers a number.
    pub(crate) fn take(&mut self, issuer: &str, scope: Scope, number: u64, base: Option<u64>) {
        self.0.entry((issuer.to_owned(), scope)).or_default().take(number, base);
    }

    /// Takes over what an event says of numbers.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Crl { issuer, scope, number, base, .. } => self.take(issuer, *scope, *number, *base),
            Event::Numbers { numbers } => {
                for CrlNumber { issuer, scope, complete, delta } in numbers {
                    self.take(issuer, *scope, *complete, None);
                    self.take(issuer, *scope, *delta, Some(0));
                }
            }
            _ => {}
        }
    }

    /// The entries that a new segment begins with.
    pub(super) fn events(&self) -> Vec<Event> {
        let all: Vec<CrlNumber> = self
            .0
            .iter()
            .map(|((issuer, scope), Greatest { complete, delta })| CrlNumber {
                issuer: issuer.clone(),
                scope: *scope,
                complete: *complete,
                delta: *delta,
            })
            .collect();
        all.chunks(MOST).map(|numbers| Event::Numbers { numbers: numbers.to_vec() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    #[test]
    fn complete_and_delta_share_a_sequence_and_may_share_a_number() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.get("a", Scope::All).above(None), 0);
        numbers.take("a", Scope::All, 10, None);
        assert_eq!(numbers.get("a", Scope::All).above(None), 10);
        assert_eq!(numbers.get("a", Scope::All).above(Some(10)), 9, "the delta CRL that is made with it");
        numbers.take("a", Scope::All, 12, Some(10));
        assert_eq!(numbers.get("a", Scope::All).above(Some(10)), 12);
        assert_eq!(numbers.get("a", Scope::All).above(None), 11);
        assert_eq!(numbers.get("b", Scope::All).above(None), 0);
    }

    #[test]
    fn what_is_carried_over_is_what_was_there() {
        let mut numbers = Numbers::default();
        for index in 0..1000u64 {
            let scope: Scope = format!("{}-of-1000", index + 1).parse().unwrap();
            numbers.take("issuing-1", scope, 1_795_392_000 + index, None);
            numbers.take("issuing-1", scope, 1_795_392_100 + index, Some(1));
        }
        let events = numbers.events();
        assert!(events.len() > 1);
        let mut again = Memory::default();
        for (seq, event) in (1..).zip(events) {
            let entry = super::super::Entry {
                seq,
                at: policy::effects::UnixTime(1),
                actor: r#""event":{"type":"sealed"#.to_owned(),
                request_id: String::new(),
                event,
            };
            let json = serde_json::to_vec(&entry).unwrap();
            assert!(json.len() < super::super::MAX_LINE / 2, "{}", json.len());
            again.note_json(&json).unwrap();
        }
        assert_eq!(again.numbers, numbers);
        again.note_json(br#"{"seq":1,"event":{"type":"sealed"}}"#).unwrap();
        assert!(again.note_json(br#"{"seq":1,"event":{"type":"crl"}}"#).is_err());
    }
}
