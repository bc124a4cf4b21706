//! What was looked at, as lines that appear while it is looked at, or as JSON at the end.

use std::io::Write as _;

type Fault = Box<dyn std::error::Error>;

/// The step that failed; none after it was made.
pub(super) struct Stop(pub(super) String);

pub(super) struct Report {
    json: bool,
    steps: Vec<Step>,
}

#[derive(serde::Serialize)]
struct Step {
    step: String,
    /// `ok`, `failed` or `note`.
    outcome: &'static str,
    said: String,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, steps: Vec::new() }
    }

    /// Looks, and says what was seen. The step is named before: a module can end the process, or hang.
    pub(super) fn step<T>(&mut self, step: &str, look: impl FnOnce() -> Result<(String, T), Fault>) -> Result<T, Stop> {
        if !self.json {
            print!("{step:24} ");
            let _ = std::io::stdout().flush();
        }
        let (outcome, said, result) = match look() {
            Ok((said, seen)) => ("ok", said, Ok(seen)),
            Err(error) => ("failed", super::super::sentence(error.as_ref()), Err(Stop(step.to_owned()))),
        };
        self.said(step, outcome, said);
        result
    }

    /// Says something that was not looked at.
    pub(super) fn note(&mut self, step: &str, said: &str) {
        if !self.json {
            print!("{step:24} ");
        }
        self.said(step, "note", said.to_owned());
    }

    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(&self.steps)?);
        }
        Ok(())
    }

    fn said(&mut self, step: &str, outcome: &'static str, said: String) {
        if !self.json {
            println!("{outcome:7} {said}");
        }
        self.steps.push(Step { step: step.to_owned(), outcome, said });
    }
}
