//! What a package puts on the disk: the programs without their symbols.

use std::process::Command;

use super::Line;
use crate::programs;
use crate::rig::Failure;

pub(super) fn line() -> Result<Line, Failure> {
    let place = tempfile::tempdir().map_err(|error| format!("a folder: {error}"))?;
    let mut parts = Vec::new();
    let mut sum = 0.0;
    for name in ["signetd", "signet-signer", "signetctl"] {
        let stripped = place.path().join(name);
        let status = Command::new("strip").arg("-o").arg(&stripped).arg(programs::directory().join(name)).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(format!("{name} cannot be stripped: is binutils installed?").into());
        }
        let octets = stripped.metadata().map_err(|error| format!("{name}: {error}"))?.len();
        // A megabyte is near enough for f64.
        let megabytes = octets as f64 / 1e6;
        sum += megabytes;
        parts.push(format!("{name} {megabytes:.1}"));
    }
    Ok(Line::new("installed size of the programs", format!("{sum:.1} MB ({})", parts.join(", ")), ""))
}
