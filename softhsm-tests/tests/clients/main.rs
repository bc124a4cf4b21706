//! Real clients get, renew and revoke certificates, and strangers judge what they got.

mod certbot;
mod dehydrated;
mod external;
mod instant;
mod later;
mod lego;
mod proofs;
mod python;
mod rollover;
mod uacme;

use softhsm_tests::rig::{Options, Rig};

fn rig() -> Rig {
    Rig::start(&Options::default())
}
