//! Serial numbers that were handed out and not yet used (J6). They die with the process.

use std::collections::{HashSet, VecDeque};

use policy::effects::{Entropy, EntropyError};
use policy::serial::Serial;

/// Most reservations at one time: more than one connection with everything in flight needs. The
/// oldest fall out first, so that those a client lost do not pile up.
const MOST: usize = 8192;

/// The reservations of this process.
#[derive(Default)]
pub(super) struct Serials {
    order: VecDeque<Serial>,
    open: HashSet<Serial>,
}

impl Serials {
    /// Draws `count` serials and remembers them.
    pub(super) fn reserve(&mut self, count: u16, entropy: &mut dyn Entropy) -> Result<Vec<Serial>, EntropyError> {
        let drawn = (0..count).map(|_| Serial::generate(entropy)).collect::<Result<Vec<_>, _>>()?;
        for serial in &drawn {
            self.open.insert(*serial);
            self.order.push_back(*serial);
        }
        while self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.open.remove(&oldest);
            }
        }
        Ok(drawn)
    }

    /// Takes a reservation; true once for each.
    #[must_use]
    pub(super) fn consume(&mut self, serial: Serial) -> bool {
        self.open.remove(&serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u64);

    impl Entropy for Counter {
        fn fill(&mut self, out: &mut [u8]) -> Result<(), EntropyError> {
            self.0 += 1;
            out.fill(1);
            out[..8].copy_from_slice(&(self.0 | 1 << 56).to_be_bytes());
            Ok(())
        }
    }

    #[test]
    fn a_reservation_is_consumed_once() {
        let mut serials = Serials::default();
        let drawn = serials.reserve(3, &mut Counter(0)).unwrap();
        assert!(serials.consume(drawn[1]));
        assert!(!serials.consume(drawn[1]));
        assert!(serials.consume(drawn[0]));
        assert!(!serials.consume("02".repeat(20).parse().unwrap()));
    }

    #[test]
    fn reservations_are_bounded_and_the_oldest_fall_out() {
        let (mut serials, mut entropy) = (Serials::default(), Counter(0));
        let first = serials.reserve(1, &mut entropy).unwrap()[0];
        let second = serials.reserve(1, &mut entropy).unwrap()[0];
        serials.reserve(MOST as u16 - 1, &mut entropy).unwrap();
        assert!(!serials.consume(first));
        assert!(serials.consume(second));
        assert_eq!(serials.order.len(), MOST);
    }
}
