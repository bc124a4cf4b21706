//! From the records of a DNS answer to those that were asked for, along the aliases.

use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::failure::printable;

/// Most aliases (CNAME) followed for one question. Recursive resolvers give up at about as many.
pub const MAX_ALIASES: usize = 10;

/// One question, and how far its aliases were followed.
#[derive(Debug)]
pub struct Chain {
    kind: RecordType,
    owner: Name,
    aliases: usize,
    ttl: u32,
}

/// What an answer section says to a question.
#[derive(Debug)]
pub enum Step<'a> {
    /// These records, at least one, all of the name that the aliases led to.
    Found(Vec<&'a Record>),
    /// The last alias leads to a name of which this section says nothing.
    Moved,
    /// No record and no further alias.
    Nothing,
    /// More than [`MAX_ALIASES`].
    TooLong,
}

impl Chain {
    /// A question for records of `kind` at `name`.
    pub fn new(name: Name, kind: RecordType) -> Self {
        Self { kind, owner: name, aliases: 0, ttl: u32::MAX }
    }

    /// The name to ask for: the one that was asked, or the last alias.
    pub fn owner(&self) -> &Name {
        &self.owner
    }

    /// The name that has the records, if an alias led there: printable, without the dot at the end.
    pub fn alias(&self) -> Option<String> {
        (self.aliases > 0).then(|| printable(self.owner.to_ascii().trim_end_matches('.'), 253))
    }

    /// Seconds for which what was found may be relied on, aliases included.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Reads one answer section. Records of names that no alias led to are not looked at.
    pub fn step<'a>(&mut self, records: &'a [Record]) -> Step<'a> {
        let before = self.aliases;
        loop {
            let own = || records.iter().filter(|record| record.name == self.owner);
            let found: Vec<&Record> = own().filter(|record| record.record_type() == self.kind).collect();
            if !found.is_empty() {
                self.ttl = found.iter().map(|record| record.ttl).fold(self.ttl, u32::min);
                return Step::Found(found);
            }
            let alias = own().find_map(|record| match &record.data {
                RData::CNAME(target) => Some((target.0.clone(), record.ttl)),
                _ => None,
            });
            let Some((target, ttl)) = alias else {
                return if self.aliases > before { Step::Moved } else { Step::Nothing };
            };
            if self.aliases == MAX_ALIASES {
                return Step::TooLong;
            }
            self.aliases += 1;
            self.ttl = self.ttl.min(ttl);
            self.owner = target;
        }
    }
}
