//! The way to the token: as many jobs at once as there are sessions, a bounded number waiting.
//!
//! The thread that received a job does it, so that nothing is handed over while the token is not
//! busy. There is one thread more than jobs at once, and so always one that reads requests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most jobs waiting. At 60 µs each they are done long before a caller gives up.
const MOST_WAITING: usize = 1024;

/// The lane for jobs of type `J`.
pub(super) struct Lane<J> {
    inner: Mutex<Inner<J>>,
}

struct Inner<J> {
    free: usize,
    waiting: VecDeque<J>,
}

/// What becomes of a job.
pub(super) enum Admission<J> {
    /// Do it now, and ask [`Lane::next`] when it is done.
    Now(J),
    /// Whoever is done first will do it.
    Later,
    /// Too much is waiting.
    Full(J),
}

impl<J> Lane<J> {
    pub(super) fn new(at_once: usize) -> Self {
        Self { inner: Mutex::new(Inner { free: at_once, waiting: VecDeque::new() }) }
    }

    pub(super) fn admit(&self, job: J) -> Admission<J> {
        let mut inner = self.lock();
        if inner.free > 0 {
            inner.free -= 1;
            Admission::Now(job)
        } else if inner.waiting.len() < MOST_WAITING {
            inner.waiting.push_back(job);
            Admission::Later
        } else {
            Admission::Full(job)
        }
    }

    /// Jobs that are done at this moment, of `at_once` that could be, and jobs that wait.
    pub(super) fn load(&self, at_once: usize) -> (usize, usize) {
        let inner = self.lock();
        (at_once.saturating_sub(inner.free), inner.waiting.len())
    }

    /// The next job for a thread that has done one; without one, its place is free.
    pub(super) fn next(&self) -> Option<J> {
        let mut inner = self.lock();
        let job = inner.waiting.pop_front();
        if job.is_none() {
            inner.free += 1;
        }
        job
    }

    /// Puts a job that is not done behind those that wait, and gives the next one: itself, if none
    /// does.
    pub(super) fn behind_others(&self, job: J) -> J {
        let mut inner = self.lock();
        match inner.waiting.pop_front() {
            Some(next) => {
                inner.waiting.push_back(job);
                next
            }
            None => job,
        }
    }

    /// Nobody panics while holding it.
    fn lock(&self) -> MutexGuard<'_, Inner<J>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_beyond_the_sessions_wait_in_order_and_beyond_that_are_refused() {
        let lane = Lane::new(2);
        assert!(matches!(lane.admit(0), Admission::Now(0)));
        assert!(matches!(lane.admit(1), Admission::Now(1)));
        for job in 0..MOST_WAITING {
            assert!(matches!(lane.admit(job), Admission::Later));
        }
        assert!(matches!(lane.admit(7), Admission::Full(7)));
        for job in 0..MOST_WAITING {
            assert_eq!(lane.next(), Some(job));
        }
        assert_eq!((lane.next(), lane.next()), (None, None));
        assert!(matches!(lane.admit(1), Admission::Now(1)));
        assert_eq!(lane.behind_others(1), 1);
        assert!(matches!(lane.admit(3), Admission::Now(3)));
        assert!(matches!(lane.admit(4), Admission::Later));
        assert_eq!((lane.behind_others(1), lane.next(), lane.next()), (4, Some(1), None));
        assert_eq!(lane.next(), None);
        assert!(matches!(lane.admit(2), Admission::Now(2)));
    }
}
