//! What a signer must know of its journal without reading all of it: each segment begins with it.

use std::collections::BTreeMap;

use policy::authority::AuthorityNumber;

use super::{Authority, AuthorityStep, Entry, Event, Numbers};

/// The greatest CRL numbers, and every authority as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) numbers: Numbers,
    pub(crate) authorities: BTreeMap<AuthorityNumber, Authority>,
}

impl Memory {
    /// Takes over what an event says.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Authority { authority, .. } => {
                self.authorities.insert(authority.number, (**authority).clone());
            }
            other => self.numbers.note(other),
        }
    }

    /// The same from the JSON of an entry, of which most are passed over unread.
    pub(super) fn note_json(&mut self, json: &[u8]) -> Result<(), String> {
        // Within a string the quotation marks would be escaped, so that this is no actor's text.
        const TYPE: &[u8] = br#""event":{"type":""#;
        let at = json.windows(TYPE.len()).position(|window| window == TYPE).unwrap_or(json.len());
        let kind = json.get(at + TYPE.len()..).unwrap_or_default();
        if ![&br#"authority""#[..], br#"crl""#, br#"numbers""#].iter().any(|known| kind.starts_with(known)) {
            return Ok(());
        }
        let entry: Entry =
            serde_json::from_slice(json).map_err(|error| format!("the text is not an entry: {error}"))?;
        self.note(&entry.event);
        Ok(())
    }

    /// The entries that a new segment begins with.
    pub(super) fn events(&self) -> Vec<Event> {
        let carried = |authority: &Authority| Event::Authority {
            step: AuthorityStep::Carried,
            authority: Box::new(authority.clone()),
        };
        self.numbers.events().into_iter().chain(self.authorities.values().map(carried)).collect()
    }
}
