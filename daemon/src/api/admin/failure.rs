//! What the service layer's failures look like on this surface.

use crate::problem::Problem;
use crate::service::Failure;

/// A failure as a problem document; the causes of our own go to the log.
pub(super) fn problem(failure: impl Into<Failure>) -> Problem {
    Problem::from(&failure.into())
}
