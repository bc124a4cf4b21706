//! Real clients get, renew and revoke certificates, and strangers judge what they got.

mod certbot;
mod dehydrated;
mod lego;
mod python;
mod uacme;

use softhsm_tests::rig::{Options, Rig};

fn rig() -> Rig {
    Rig::start(&Options::default())
}
