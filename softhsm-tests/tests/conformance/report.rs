//! What came of the checks, as docs/acme-conformance.md and as the reasons why the test fails.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::rows::{self, CHAPTERS, Level, Row};
use super::run::Outcome;

/// What is deliberately not met: a row, what of it, and why. Never a MUST; of a row that is one, a part
/// that is a SHOULD.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "A-091",
    "validation from several places in the network",
    "an appliance stands in the network that it issues for, and has no other places; a resolver with DNSSEC \
     (`dnssec = true`) guards against forged answers",
)];

/// Rows that a client cannot show, or not alone, and the tests elsewhere in the tree that show them:
/// row, file, test.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    // A clock that goes forward is needed, or a zone that is signed.
    ("A-063", FLOW, "an_order_whose_authorization_expired_is_invalid"),
    ("A-097", FLOW, "an_order_whose_authorization_expired_is_invalid"),
    ("A-094", RESOLVER, "with_dnssec_a_signed_answer_is_taken_and_a_bogus_one_refused"),
    ("C-05", FINALIZE, "caa_that_forbids_fails_the_challenge_and_when_it_is_old_the_finalize"),
];

const FLOW: &str = "daemon/src/api/acme/tests/flow.rs";
const RESOLVER: &str = "softhsm-tests/tests/validation/resolver.rs";
const FINALIZE: &str = "daemon/src/api/acme/tests/finalize.rs";

/// What came of all checks.
pub(crate) struct Report {
    outcomes: Vec<Outcome>,
}

/// What is to be said of a row.
enum Verdict {
    /// It is not met at all, for a reason.
    Excepted,
    Fails,
    /// By these tests.
    Met(Vec<String>),
    NotServed,
    NotShown,
}

impl Report {
    pub(crate) fn new(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes }
    }

    /// Says how long each check took, the longest first, and what failed.
    pub(crate) fn print(&self) {
        let mut slow: Vec<&Outcome> = self.outcomes.iter().collect();
        slow.sort_by_key(|outcome| std::cmp::Reverse(outcome.took));
        for outcome in slow.iter().take(10) {
            println!("{:6} ms {}", outcome.took.as_millis(), outcome.name);
        }
        let failed = self.outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
        println!("{} checks, {failed} failed", self.outcomes.len());
    }

    /// The checks that failed, and why.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failed = self.outcomes.iter().filter_map(|outcome| Some((outcome, outcome.failure.as_ref()?)));
        failed.map(|(outcome, failure)| format!("{} {}: {failure}", outcome.rows.join(" "), outcome.name)).collect()
    }

    /// What the tables lack or say wrong.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for row in rows::all() {
            match self.verdict(row) {
                Verdict::NotShown => faults.push(format!("{} has no check: {}", row.id, row.statement)),
                Verdict::Excepted if row.level == Level::Must => {
                    faults.push(format!("{} is a MUST and cannot be an exception", row.id));
                }
                _ => {}
            }
        }
        let known = |id: &str| rows::all().any(|row| row.id == id);
        let named = self.outcomes.iter().flat_map(|outcome| outcome.rows.iter().copied());
        let named = named.chain(EXCEPTIONS.iter().map(|(id, ..)| *id)).chain(ELSEWHERE.iter().map(|(id, ..)| *id));
        faults.extend(named.filter(|id| !known(id)).map(|id| format!("there is no row {id}")));
        for (id, file, test) in ELSEWHERE {
            let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
            if !text.contains(&format!("fn {test}(")) {
                faults.push(format!("{id}: {file} has no test {test}"));
            }
        }
        let ids: Vec<&str> = rows::all().map(|row| row.id).collect();
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        if unique.len() != ids.len() {
            faults.push("a row stands twice in the table".into());
        }
        faults
    }

    /// Nothing if the document in the tree says what the checks say, or was just made to.
    pub(crate) fn compare(&self) -> Vec<String> {
        let path = root().join("docs/acme-conformance.md");
        let text = self.document();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, text).expect("the document can be written");
            return Vec::new();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let changed = text.lines().filter(|line| !committed.lines().any(|other| other == *line));
        let mut changed: Vec<String> = changed.map(str::to_owned).collect();
        if committed != text {
            changed.insert(
                0,
                "docs/acme-conformance.md says otherwise; look at these lines, then run with BLESS=1:".into(),
            );
        }
        changed
    }

    fn verdict(&self, row: &Row) -> Verdict {
        if rows::DEVICE_ATTEST.iter().any(|later| later.id == row.id) {
            return Verdict::NotServed;
        }
        let shown: Vec<&Outcome> = self.outcomes.iter().filter(|outcome| outcome.rows.contains(&row.id)).collect();
        let elsewhere = ELSEWHERE.iter().filter(|(id, ..)| *id == row.id);
        let elsewhere = elsewhere.map(|(_, file, test)| format!("`{test}` in `{file}`"));
        if shown.iter().any(|outcome| outcome.failure.is_some()) {
            return Verdict::Fails;
        }
        let by: Vec<String> = shown.iter().map(|outcome| format!("`{}`", outcome.name)).chain(elsewhere).collect();
        match by.is_empty() {
            true if exceptions(row).next().is_some() => Verdict::Excepted,
            true => Verdict::NotShown,
            false => Verdict::Met(by),
        }
    }

    fn document(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut tables = String::new();
        for chapter in CHAPTERS {
            let _ = write!(tables, "\n## {}\n\n", chapter.title);
            tables.push_str("| Row | Section | Level | Requirement | Result | Shown by |\n|---|---|---|---|---|---|\n");
            for row in chapter.rows {
                let (count, result, by) = match self.verdict(row) {
                    Verdict::Excepted => ("exceptions", "exception".to_owned(), String::new()),
                    Verdict::Fails => ("failing", "**fails**".into(), String::new()),
                    Verdict::Met(by) => ("met", "pass".into(), by.join(", ")),
                    Verdict::NotServed => ("not served yet", "not served yet".into(), String::new()),
                    Verdict::NotShown => ("not shown", "**not shown**".into(), String::new()),
                };
                *counts.entry(count).or_default() += 1;
                let result = exceptions(row).fold(result, |result, why| format!("{result}; not met: {why}"));
                let Row { id, section, level, statement } = row;
                let statement = statement.replace('|', "\\|");
                let _ = writeln!(tables, "| {id} | {section} | {level} | {statement} | {result} | {by} |");
            }
        }
        let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        format!("{HEAD}\n{}.\n{tables}", counts.join(", "))
    }
}

const HEAD: &str = "\
# ACME conformance

Written by `BLESS=1 cargo test -p softhsm-tests --test conformance`; the same test fails when this
page and the server differ. Each row is a requirement in our own words, with the section that it
comes from, and the checks in `softhsm-tests/tests/conformance/checks` that show it: a client of its
own, able to send what is wrong, against a running `signetd`, `signet-signer` and SoftHSM over TLS.
`stated` is normative text without a key word. Differences from other servers are in
[divergences/acme.md](divergences/acme.md).
";

/// What of a row is not met, and why.
fn exceptions(row: &Row) -> impl Iterator<Item = String> {
    let own = EXCEPTIONS.iter().filter(|(id, ..)| *id == row.id);
    own.map(|(_, what, why)| format!("{what}, because {why}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
