//! The configuration as administrators are shown it: values as they stand in the file. It holds no secret.

use std::fmt::Display;
use std::ops::RangeInclusive;
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

/// `80`, or `"8000-8099"`.
pub(super) fn ports<S: Serializer>(ranges: &[RangeInclusive<u16>], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Ports {
        One(u16),
        Range(String),
    }
    serializer.collect_seq(ranges.iter().map(|range| match range.start() == range.end() {
        true => Ports::One(*range.start()),
        false => Ports::Range(format!("{}-{}", range.start(), range.end())),
    }))
}
