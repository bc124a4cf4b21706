//! The journal of systemd, for both programs: fields `SIGNET_…`, and a message id for each kind of event,
//! by which `journalctl -x` explains it (packaging/journald/signet.catalog).
//!
//! An event says which it is in its field `event`; others have no id. Fields that are searched for:
//! `serial`, `account`, `actor`, `request_id`.

use std::os::unix::fs::MetadataExt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Kinds of events, and the message id of each.
pub const EVENTS: &[(&str, &str)] = &[
    ("account_bound", "e2a214e8bbe946751d52490575ffc53d"),
    ("account_ended", "03aa3897fcf446b6186c39e8c7bb69f6"),
    ("administrator_enrolled", "5c22c46963e948fd64d4748ca3c77ebf"),
    ("administrator_removed", "b2609a0bdd2b45508c656018eee38dc1"),
    ("administrator_role_set", "4ba71ab7ac0544a56cc6be1805fdf179"),
    ("artefact_wrong", "5bd0f521be84462b3b9be05d0e8e2329"),
    ("authority", "5d0c9c2f8e0e4c7ab6a1f2c1d7a9be34"),
    ("ca_activated", "0b8e90e9f6464d5fdae85d0928398f9f"),
    ("ceremony", "7ea3ef27e2e94528a4e0689e1888df20"),
    ("certificate", "5c3981a844ab46d87b81e5e0309e6043"),
    ("confinement", "0bcc0d1cd5a9414599ba695ab78d8387"),
    ("counted", "e08137f33a084ec91f95e90587134be1"),
    ("crl", "6b8816776b5a4b73694472d1a7d32946"),
    ("disk_full", "c9ce5ddc2a52483e56dfd21e9d1f5c01"),
    ("disk_has_space", "f41fae4a5518483da98647fe161b80de"),
    ("eab_key_created", "6cc3ba5031834d1d3933dffe9f578985"),
    ("eab_key_revoked", "dbc01b3d2ea2438c24e166c70794a750"),
    ("files_refused", "60b3bedce0ec4deafc434d6e6054aa24"),
    ("files_reloaded", "a0d0861e4f7e43534227e820e6a60526"),
    ("held", "b3c478b638e64772f86ed285da543b3d"),
    ("imported", "c4e08e67b822463b4e6980ee651011cb"),
    ("journal_failed", "449ab166818648568c529b4839c340b3"),
    ("key_made", "24e2e90d998e66679892f5cb894b3ba8"),
    ("node_deleted", "a02bff2f31bf46af28b58ab4d47a9a78"),
    ("node_registered", "25318bf27b8849751414f6b506d002db"),
    ("numbers", "78e8b5bcefb74578f78e1ffad9cf7a0c"),
    ("ocsp", "f03198c45f954f9cfef12c37ca6cd66c"),
    ("opened", "0fd539ac359d41d6c4b11609cef605c9"),
    ("profile_loaded", "15c0e0b73abb4e8530a037efd7376ab4"),
    ("released", "c54a55eb16014892121f7305e164f982"),
    ("renewal_failed", "1d7163de5cf84d93982ed19d185f80d2"),
    ("request", "64cec5fe01d84fbcf39897dbbf44e1ec"),
    ("request_approved", "87a152f460ca46fe3d3db70b0d99ed20"),
    ("request_rejected", "e7fb3f46c9374388167dd69a83f614dc"),
    ("revoked", "e39626c901d6494cea602675de5e3a9f"),
    ("sealed", "9b31f6ab674545279afad5ab4bae8b9b"),
    ("seed_issued", "9d4615766cd44f91fda536a3a434d6f9"),
    ("seed_used", "9eb22b5a9059486a9d97fce60131d9b6"),
    ("signer_ended", "fe399f935eab4c89e52f0f9e8e8afc84"),
    ("signer_ready", "2a2d67fff4594731d119cf3b52c7c179"),
    ("started", "a92d9e0fe3104aeed817a1320b6451b0"),
    ("token_created", "3ddab6b5edb64e2f0d8eb596c8965f78"),
    ("token_failed", "c46f071bca9e47f6e232c00c385aa089"),
    ("token_hangs", "8e78e7aa35694d458b8e16a81a6b839b"),
    ("token_set", "3ce1b34701874c0570cc76289bd7f38b"),
    ("unseal_attempted", "89cad3eb60c14c7337ef1c359b20631f"),
    ("unseal_failed", "f0a389f9f65b4c266ae2e12a945b3a5a"),
    ("unsealed", "0c3372247b924155660a2f4d9ba2ec66"),
];

/// Writes to the journal of systemd; `None` if it does not read our standard error. Its sockets are made
/// here, before there is a filter.
#[must_use]
pub fn journal() -> Option<Journal> {
    stderr_is_journal().then(Journal::new).and_then(Result::ok)
}

/// A layer that writes to the journal of systemd.
pub struct Journal {
    plain: tracing_journald::Layer,
    /// In the order of [`EVENTS`].
    known: Vec<tracing_journald::Layer>,
}

impl Journal {
    fn new() -> std::io::Result<Self> {
        let layer = || tracing_journald::layer().map(|layer| layer.with_field_prefix(Some("SIGNET".to_owned())));
        let known = |(_, id): &(&str, &str)| layer().map(|layer| layer.with_custom_fields([("MESSAGE_ID", *id)]));
        Ok(Self { plain: layer()?, known: EVENTS.iter().map(known).collect::<std::io::Result<_>>()? })
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.plain.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.plain.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut kind = Kind(None);
        event.record(&mut kind);
        let layer = kind.0.and_then(|at| self.known.get(at)).unwrap_or(&self.plain);
        layer.on_event(event, context);
    }
}

/// Where the field `event` stands in [`EVENTS`].
struct Kind(Option<usize>);

impl Visit for Kind {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            self.0 = EVENTS.iter().position(|(name, _)| *name == value);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}

/// systemd.exec(5): `JOURNAL_STREAM` names the device and inode of the stream; a program whose
/// standard error was redirected elsewhere has the variable and not the stream.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn catalog() -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/journald/signet.catalog");
        std::fs::read_to_string(path).unwrap()
    }

    fn sources(folder: &Path, found: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_event_of_the_code_has_an_id_and_an_explanation_and_nothing_else_has() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut text = String::new();
        sources(&root.join("hsm/src"), &mut text);
        sources(&root.join("daemon/src"), &mut text);
        let literal = concat!("event =", " \"");
        let mut code: BTreeSet<&str> =
            text.split(literal).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        code.extend(crate::journal::Event::KINDS);
        let named: BTreeSet<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(code, named);
        assert!(EVENTS.is_sorted());

        let catalog = catalog();
        let explained: BTreeSet<(&str, &str)> = catalog
            .split("\n# ")
            .skip(1)
            .map(|entry| (entry.lines().next().unwrap(), entry.lines().nth(1).unwrap().strip_prefix("-- ").unwrap()))
            .collect();
        assert_eq!(explained, EVENTS.iter().copied().collect());
        let ids: BTreeSet<&str> = EVENTS.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), EVENTS.len());
    }

    #[test]
    fn systemd_takes_the_catalog() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("usr/lib/systemd/catalog");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/systemd/catalog")).unwrap();
        std::fs::write(folder.join("signet.catalog"), catalog()).unwrap();
        let journalctl = |verb: &str| {
            let root = format!("--root={}", root.path().display());
            std::process::Command::new("journalctl").args(["--update-catalog".replace("update", verb), root]).output()
        };
        let updated = match journalctl("update") {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                use std::io::Write as _;
                // Past the capture of output: `make test` counts these lines.
                let _ = writeln!(std::io::stderr(), "skipped: journalctl is not installed");
                return;
            }
            updated => updated.unwrap(),
        };
        assert!(updated.status.success(), "{}", String::from_utf8_lossy(&updated.stderr));
        let listed = journalctl("list").unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for (name, id) in EVENTS {
            assert!(listed.contains(id), "{name}: {listed}");
        }
    }
}
