//! `signet-signer run`: the service, in the order of its confinement.

use super::{Effects, OfConfig, Outcome};

pub(super) fn main(of: &OfConfig, effects: Effects) -> Outcome {
    let _ = (of.config.as_path(), effects);
    Err("the service is not in this build".into())
}
