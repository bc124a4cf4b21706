//! The configuration as administrators are shown it: values as they stand in the file. It holds no secret.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use policy::effects::UnixTime;
use serde::{Serialize, Serializer};

use super::{Config, Waiver};

/// The configuration in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What it says, defaults included.
    pub config: Config,
    /// The file that it was read from.
    pub file: PathBuf,
    /// When.
    pub read: UnixTime,
}

pub(super) fn time<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*time))
}

pub(super) fn time_or_none<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| humantime::format_duration(time).to_string()).serialize(serializer)
}

pub(super) fn names<S: Serializer>(waivers: &[Waiver], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(waivers.iter().map(|waiver| waiver.name()))
}

pub(super) fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
