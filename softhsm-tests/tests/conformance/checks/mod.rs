//! The checks, a file for each kind of resource.

mod accounts;
mod certificates;
mod jws;
mod nonces;
mod orders;
mod overall;
mod rollover;
mod transport;

use crate::run::Check;

/// Checks that may run side by side.
pub(crate) const TOGETHER: &[(&str, &[Check])] = &[
    ("accounts", accounts::CHECKS),
    ("certificates", certificates::CHECKS),
    ("jws", jws::CHECKS),
    ("nonces", nonces::CHECKS),
    ("orders", orders::CHECKS),
    ("rollover", rollover::CHECKS),
    ("transport", transport::CHECKS),
];

/// Checks that change the server, each after the other, and at the end those that judge the rest.
pub(crate) const ALONE: &[(&str, &[Check])] = &[
    ("accounts", accounts::alone::CHECKS),
    ("nonces", nonces::alone::CHECKS),
    ("orders", orders::alone::CHECKS),
    ("overall", overall::CHECKS),
];
