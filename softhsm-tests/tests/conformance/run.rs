//! Runs the checks: most of them side by side, those that change the server one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::checks;
use super::world::World;

/// Shows rows of the table, or panics.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    /// Numbers of the rows, with spaces between.
    pub(crate) rows: &'static str,
    pub(crate) run: fn(&World),
}

/// What came of one check.
pub(crate) struct Outcome {
    /// `chapter::name`
    pub(crate) name: String,
    pub(crate) rows: Vec<&'static str>,
    /// What was wrong.
    pub(crate) failure: Option<String>,
    pub(crate) took: Duration,
}

/// Names checks and the rows that they show.
#[macro_export]
macro_rules! checks {
    ($($rows:literal => $name:ident),* $(,)?) => {
        pub(crate) const CHECKS: &[$crate::run::Check] =
            &[$($crate::run::Check { name: stringify!($name), rows: $rows, run: $name }),*];
    };
}

/// Checks that wait for the server more than they keep it busy.
const THREADS: usize = 8;

/// Runs every check with `only` in its name.
pub(crate) fn all(world: &World, only: &str) -> Vec<Outcome> {
    let wanted = |(chapter, check): &(&str, &Check)| format!("{chapter}::{}", check.name).contains(only);
    let chosen = |chapters: &[(&'static str, &'static [Check])]| -> Vec<(&'static str, &'static Check)> {
        let all = chapters.iter().flat_map(|(chapter, checks)| checks.iter().map(move |check| (*chapter, check)));
        all.filter(wanted).collect()
    };
    let together = chosen(checks::TOGETHER);
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((chapter, check)) = together.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = one(world, chapter, check);
                    outcomes.lock().expect("no check panics here").push(outcome);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no check panics here");
    outcomes.extend(chosen(checks::ALONE).into_iter().map(|(chapter, check)| one(world, chapter, check)));
    outcomes.sort_by(|one, other| one.name.cmp(&other.name));
    outcomes
}

fn one(world: &World, chapter: &str, check: &'static Check) -> Outcome {
    let begun = Instant::now();
    let failure = catch_unwind(AssertUnwindSafe(|| (check.run)(world))).err().map(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
    });
    let name = format!("{chapter}::{}", check.name);
    Outcome { name, rows: check.rows.split(' ').collect(), failure, took: begun.elapsed() }
}
