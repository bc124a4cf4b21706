//! Dry runs: would this be issued, and which rule decides. The code is that which issues, up to the
//! bytes that would be signed and every lint over them; nothing is signed, nor asked of the signer.

use policy::evidence::AuthorizationRecord;
use policy::name::Name;
use policy::profile::{Decision, Refusal};
use policy::serial::Serial;
use policy::tbs::TbsError;
use policy::validity::Validity;

use super::Services;
use super::issue::{IssueFailure, Wanted, WantedKey, make_key};
use super::rights::Permitted;
use crate::issuance::{IssueError, Submission};

/// What would come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Whether it would be issued.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub why: String,
    /// The rule that decides, if a profile's rule does.
    pub rule: Option<Place>,
    /// What the certificate would hold, if it would be issued.
    pub terms: Option<Terms>,
}

/// Whether it would be issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Once somebody else approved it.
    Ask,
    /// At once.
    Issue,
    /// Not so.
    Refuse,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The profile file.
    pub file: String,
    /// The line in it.
    pub line: usize,
    /// The field, such as `names.permitted`.
    pub field: &'static str,
}

/// What a certificate would hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The names.
    pub names: Vec<Name>,
    /// The common name, if there is one.
    pub common_name: Option<String>,
    /// When it would be valid, if it were signed now.
    pub validity: Validity,
}

impl Services {
    /// Whether `wanted` would be issued to the one who asks.
    pub async fn explain(&self, permitted: &Permitted, wanted: &Wanted) -> Result<Explained, IssueFailure> {
        let profile = self.profile(&wanted.profile)?;
        let name = profile.name().to_owned();
        let key = match &wanted.key {
            WantedKey::Csr(csr) => csr.key().clone(),
            WantedKey::Generate(kind) => {
                if let Err(refusal) = profile.allows_kind_of_key(kind.algorithm(), kind.bits()) {
                    return Ok(self.refused(&name, refusal));
                }
                make_key(*kind).await?.1
            }
        };
        let (submission, decision) = match self.decide(permitted, wanted, key) {
            Ok(decided) => decided,
            Err(IssueFailure::Refused(refusal)) => return Ok(self.refused(&name, refusal)),
            Err(failure) => return Err(failure),
        };
        let (verdict, why, submission) = match decision {
            Decision::Refuse(refusal) => return Ok(self.refused(&name, refusal)),
            Decision::Issue(_) => (Verdict::Issue, "it would be issued".to_owned(), submission),
            Decision::AskHuman(_) => {
                let why = "it would be issued once somebody else approved it".to_owned();
                let record = AuthorizationRecord { requester: Some(String::new()), ..submission.record };
                (Verdict::Ask, why, Submission { record, ..submission })
            }
        };
        let rule = (verdict == Verdict::Ask).then(|| self.place(&name, "approval.required"));
        let random: [u8; 20] = self.random.bytes().map_err(|error| IssueFailure::Internal(error.to_string()))?;
        // Positive, and used for nothing.
        let serial = Serial::from_slice(&[&[1], &random[1..]].concat())
            .map_err(|error| IssueFailure::Internal(error.to_string()))?;
        let unreadable =
            |error: TbsError| IssueFailure::Internal(format!("what would be signed is unreadable: {error}"));
        match self.pipeline().rehearse(&submission, serial) {
            Ok(tbs) => {
                let terms = Terms {
                    names: tbs.names().map_err(unreadable)?,
                    common_name: tbs.common_name().map_err(unreadable)?,
                    validity: tbs.validity().map_err(unreadable)?,
                };
                Ok(Explained { verdict, why, rule: rule.flatten(), terms: Some(terms) })
            }
            Err(IssueError::Refused(refusal)) => Ok(self.refused(&name, refusal)),
            // A lint, which issuing would report as our own fault.
            Err(IssueError::Tbs(error)) => {
                Ok(Explained { verdict: Verdict::Refuse, why: error.to_string(), rule: None, terms: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn refused(&self, profile: &str, refusal: Refusal) -> Explained {
        let rule = refusal.rule.and_then(|field| self.place(profile, field));
        Explained { verdict: Verdict::Refuse, why: refusal.why, rule, terms: None }
    }

    fn place(&self, profile: &str, field: &'static str) -> Option<Place> {
        let profiles = self.profiles.now();
        let (file, line) = profiles.get(profile)?.place_of(field);
        Some(Place { file: file.to_owned(), line, field })
    }
}

#[cfg(test)]
mod tests {
    use policy::profile::Profile;
    use policy::validity::Requested;

    use super::*;
    use crate::service::acme::testing::World;
    use crate::service::issue::{Completes, KeyKind, Warrant};

    #[tokio::test]
    async fn a_dry_run_says_what_issuing_would_do_and_which_line_decides_and_signs_nothing() {
        let server = include_str!("../../../packaging/profiles/server.toml");
        let asking = format!("{server}\n[approval]\nrequired = true\n");
        let profiles = [("server", server.to_owned()), ("asking", asking.clone())].map(|(name, text)| {
            (name.to_owned(), std::sync::Arc::new(Profile::from_toml(&format!("{name}.toml"), &text).unwrap()))
        });
        let world = World::new()
            .await
            .reassemble(|services| services.profiles.replace(crate::current::Profiles::from(profiles)));
        let world = world.await;
        let permitted = Permitted::for_tests(&world.services);
        let wanted = |profile: &str, name: &str, kind, warrant| Wanted {
            surface: "admin",
            profile: profile.to_owned(),
            key: WantedKey::Generate(kind),
            names: Some(vec![Name::parse(name).unwrap()]),
            common_name: None,
            requested: Requested::default(),
            warrant,
            completes: Completes::Nothing,
            node: None,
        };
        let word = || Warrant::Administrator { replaces: None };
        let p256 = KeyKind::P256;
        let line = |text: &str, start: &str| 1 + text.lines().position(|line| line.starts_with(start)).unwrap();
        for (asked, verdict, place) in [
            (wanted("server", "a.example.test", p256, word()), Verdict::Issue, None),
            (wanted("server", "192.0.2.1", p256, word()), Verdict::Refuse, Some((server, "permitted"))),
            (wanted("server", "a.test", KeyKind::Ed25519, word()), Verdict::Refuse, Some((server, "algorithms"))),
            (wanted("server", "a.test", p256, Warrant::Unproven), Verdict::Refuse, Some((server, "methods"))),
            (wanted("asking", "a.example.test", p256, word()), Verdict::Ask, Some((&asking, "required"))),
            (wanted("asking", "192.0.2.1", p256, word()), Verdict::Refuse, Some((&asking, "permitted"))),
        ] {
            let profile = asked.profile.clone();
            let explained = world.services.explain(&permitted, &asked).await.unwrap();
            let found = explained.rule.as_ref().map(|place| (place.file.clone(), place.line));
            let expected = place.map(|(text, start)| (format!("{profile}.toml"), line(text, start)));
            assert_eq!((explained.verdict, found), (verdict, expected), "{explained:?}");
            assert_eq!(explained.terms.is_some(), verdict != Verdict::Refuse, "{explained:?}");
        }
        assert_eq!(world.signer.inner().signed, 0);
    }
}
