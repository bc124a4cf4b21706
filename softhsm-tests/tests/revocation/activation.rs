//! A CA goes active once relying parties find what its certificates will name.

use serde_json::Value;
use softhsm_tests::rig::{self, Options, Rig, Start};
use softhsm_tests::wait::wait_until;

use crate::scene::PATIENCE;

#[test]
fn a_ca_goes_active_when_relying_parties_find_what_it_will_name_and_by_force_otherwise() {
    let rig = Rig::start(&Options { start: Start::Sealed, ..Options::default() });
    let ctl = |arguments: &[&str]| rig.environment.signetctl(arguments);
    ctl(&["unseal", "--pin-file", rig.environment.get("SIGNET_PIN_FILE")]).expect("unseal");
    wait_until("a CRL is served and all is right", PATIENCE, || ctl(&["ca", "check"]).is_ok()).expect("a check");
    let said = ctl(&["ca", "check"]).expect("a check");
    for what in ["CRL all", "OCSP", "CA certificate", "CRL of the root", "root certificate"] {
        assert!(said.lines().any(|line| line.starts_with(what) && line.contains("right")), "{what}: {said}");
    }
    assert!(said.contains("not active"), "{said}");

    // Nobody gets a certificate yet, and the sentence says what to do.
    let health = rig::health(&rig.layout).expect("health");
    assert_eq!((&health["ready"], &health["seal"]), (&Value::Bool(false), &"unsealed".into()));
    let plan = rig.plan(1);
    let authority = rig.environment.get("SIGNET_PUBLIC_URL").trim_start_matches("https://");
    let mut https = softhsm_tests::acme::Https::new(plan.tls, authority).expect("a server");
    let answer = https.request("GET", "/directory", None, &[]).expect("an answer");
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    assert!(answer.text().contains("signetctl ca activate"), "{}", answer.text());

    // A URL that does not answer: another profile, as somebody may add it later.
    let profiles = rig.layout.config().join("profiles");
    let text = std::fs::read_to_string(profiles.join("server.toml")).expect("a profile");
    let wrong = text.replace("/ocsp\"", "/nowhere\"");
    assert_ne!(wrong, text);
    std::fs::write(profiles.join("elsewhere.toml"), wrong).expect("a profile");
    rig.without("signetd", || ());
    wait_until("it is unsealed again", PATIENCE, || {
        rig::health(&rig.layout).is_ok_and(|health| health["seal"] == "unsealed")
    })
    .expect("unsealed");
    let refused = ctl(&["ca", "activate"]).expect_err("a refusal");
    assert!(refused.contains("OCSP at") && refused.contains("/nowhere") && refused.contains("404"), "{refused}");
    assert!(ctl(&["ca", "check"]).expect_err("exit code 1").contains("/nowhere"));
    let said = ctl(&["ca", "activate", "--force"]).expect("by force");
    assert!(said.contains("although") && said.contains("/nowhere"), "{said}");
    rig.wait_until_ready();

    // The watchdog says so, and nobody forgets it.
    wait_until("the watchdog says so", PATIENCE * 2, || {
        let health = rig::health(&rig.layout).unwrap_or_default();
        health["revocation"].to_string().contains("/nowhere")
    })
    .expect("an alarm");
    let directory = rig.record().ca_state(&rig.layout).join("journal");
    let lines: String = std::fs::read_dir(directory)
        .expect("a journal")
        .flatten()
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .collect();
    let activated = lines.lines().find(|line| line.contains("\"ca_activated\"")).expect("an entry");
    assert!(activated.contains("\"forced\":true") && activated.contains("/nowhere"), "{activated}");
}
