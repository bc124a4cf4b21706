//! The checks, a file for each kind of resource.

mod accounts;
mod alpn;
mod caa;
mod certificates;
mod dns;
mod eab;
mod http01;
mod ip;
mod jws;
mod limits;
mod nonces;
mod orders;
mod overall;
mod renewal;
mod rollover;
mod transport;

use crate::run::Check;

/// Checks that may run side by side.
pub(crate) const TOGETHER: &[(&str, &[Check])] = &[
    ("accounts", accounts::CHECKS),
    ("alpn", alpn::CHECKS),
    ("caa", caa::CHECKS),
    ("certificates", certificates::CHECKS),
    ("dns", dns::CHECKS),
    ("eab", eab::CHECKS),
    ("http01", http01::CHECKS),
    ("ip", ip::CHECKS),
    ("jws", jws::CHECKS),
    ("nonces", nonces::CHECKS),
    ("orders", orders::CHECKS),
    ("renewal", renewal::CHECKS),
    ("rollover", rollover::CHECKS),
    ("transport", transport::CHECKS),
];

/// Checks that change the server, each after the other, and at the end those that judge the rest.
pub(crate) const ALONE: &[(&str, &[Check])] = &[
    ("accounts", accounts::alone::CHECKS),
    ("eab", eab::alone::CHECKS),
    ("http01", http01::alone::CHECKS),
    ("limits", limits::CHECKS),
    ("nonces", nonces::alone::CHECKS),
    ("renewal", renewal::alone::CHECKS),
    ("overall", overall::CHECKS),
];
