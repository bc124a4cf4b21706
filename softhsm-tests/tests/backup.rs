//! `signetd backup` and `restore`, with either engine: a host that lost its store and its journal knows again what it
//! signed.

use std::path::Path;
use std::process::Command;

use softhsm_tests::acme::Client;
use softhsm_tests::clients::{Said, run};
use softhsm_tests::programs;
use softhsm_tests::rig::{self, Engine, Options, Rig};

const NAME: &str = "kept.example.test";

#[test]
fn a_sled_store_is_copied_while_signetd_is_stopped_and_restored() {
    judge(Engine::Sled);
}

#[test]
fn a_sqlite_store_is_copied_while_signetd_runs_and_restored() {
    judge(Engine::Sqlite);
}

fn judge(engine: Engine) {
    let rig = Rig::start(&Options { engine: Some(engine), ..Options::default() });
    let plan = rig.plan(1);
    let mut client = Client::new(&plan.directory, plan.tls, plan.responder, plan.patience).expect("a client");
    client.register().expect("an account");
    client.obtain(NAME).expect("a certificate");
    let copy = rig.directory().join("backup");
    let backup = || signetd(&rig, "backup", &copy);
    let said = match engine {
        Engine::Sqlite => backup(),
        Engine::Sled => {
            let refused = backup().failure();
            assert!(refused.contains("stop it, or choose the engine sqlite"), "{refused}");
            std::fs::remove_dir_all(&copy).expect("the directory of the copy that was not made");
            rig.without("signetd", backup)
        }
    };
    assert!(said.success().contains("copied: journal"));

    rig::down(&rig.layout).expect("a rig that is down");
    let journal = rig.record().ca_state(&rig.layout).join("journal");
    let refused = signetd(&rig, "restore", &copy).failure();
    assert!(refused.contains("this host has a store"), "{refused}");
    for place in [&rig.layout.store(), &journal] {
        std::fs::remove_dir_all(place).expect("what is lost");
    }
    let said = signetd(&rig, "restore", &copy).success();
    assert!(said.contains("restored: journal"), "{said}");
    rig.up(&Options { engine: Some(engine), ..Options::default() });
    rig.wait_until_ready();
    let listed = rig.environment.signetctl(&["cert", "list", "--name", NAME]).expect("a list");
    assert!(listed.contains(NAME) || listed.contains("server"), "{listed}");
    client.obtain("after.example.test").expect("a certificate");
}

fn signetd(rig: &Rig, verb: &str, place: &Path) -> Said {
    let mut command = Command::new(programs::directory().join("signetd"));
    command.arg(verb).arg("--config").arg(rig.layout.signetd()).arg("--signer").arg(rig.layout.signer("ca"));
    run(command.arg(place))
}
