//! What is under way, counted by whose it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::lock;

/// How much is under way, by whose it is. Clones count together.
#[derive(Clone, Default)]
pub struct Tally(Arc<Mutex<HashMap<String, u32>>>);

impl Tally {
    /// Counts one more, unless `most` are there.
    pub(super) fn enter(&self, whose: &str, most: Option<u32>) -> Option<Turn> {
        let mut under_way = lock(&self.0);
        let count = under_way.get(whose).copied().unwrap_or(0);
        if most.is_some_and(|most| count >= most) {
            return None;
        }
        under_way.insert(whose.to_owned(), count + 1);
        Some(Turn { whose: whose.to_owned(), tally: self.clone() })
    }
}

/// One that is under way; it counts until it is dropped.
pub struct Turn {
    whose: String,
    tally: Tally,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = lock(&self.tally.0);
        match under_way.get_mut(&self.whose) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(under_way.remove(&self.whose)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_counts_until_it_is_dropped_and_leaves_nothing_behind() {
        let tally = Tally::default();
        let first = tally.enter("a", Some(2));
        let second = tally.enter("a", Some(2));
        assert!(first.is_some() && second.is_some() && tally.enter("a", Some(2)).is_none());
        assert!(tally.enter("b", Some(1)).is_some());
        drop(first);
        assert!(tally.enter("a", Some(2)).is_some());
        drop(second);
        assert!(lock(&tally.0).is_empty());
    }
}
