//! Clients that `make test` does not install: `make interop` does, and runs this.

use std::path::Path;

use softhsm_tests::clients::{Certbot, judge};
use softhsm_tests::rig::{Options, Rig};

#[test]
fn a_later_certbot_obtains_renews_and_revokes() {
    if is_skipped() {
        return;
    }
    let rig = Rig::start(&Options::default());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/certbot/bin/certbot");
    let certbot = Certbot::at(&rig, "certbot", &program);
    let name = "certbot-5.example.test";
    certbot.obtain(name).success();
    certbot.renew().success();
    let (leaf, chain) = certbot.certificate(name);
    judge(&rig, &leaf, &chain);
    certbot.revoke(name).success();
}

fn is_skipped() -> bool {
    let skipped = std::env::var_os("SIGNET_INTEROP").is_none();
    if skipped {
        softhsm_tests::skipped("`make interop` installs what this needs");
    }
    skipped
}
