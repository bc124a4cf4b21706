//! Measurements against the budgets of the design. Ratios and CPU time, because wall time on a
//! shared machine is noise.

mod handshake;
mod nonce;
mod order;
mod process;
mod revocation;
mod search;
mod sign;
mod size;
mod start;

use crate::rig::{Failure, Options, Rig};

pub use process::{ALL, Peaks, cpu, resident};
pub use revocation::settle;
pub use sign::{Each, own_rate};

/// One line of the report.
struct Line {
    what: String,
    measured: String,
    budget: &'static str,
}

impl Line {
    fn new(what: impl Into<String>, measured: impl Into<String>, budget: &'static str) -> Self {
        Self { what: what.into(), measured: measured.into(), budget }
    }
}

/// Measures everything and prints a table.
pub fn run() -> Result<(), Failure> {
    let rig = Rig::start(&Options::default());
    let mut lines = vec![Line::new("rig up, ceremony included", format!("{} ms", rig.took.as_millis()), "")];
    // First of all, before anything has made the processes larger.
    lines.push(process::idle_memory(&rig));
    lines.extend(sign::lines(&rig)?);
    lines.extend(handshake::lines(&rig)?);
    lines.extend(order::lines(&rig)?);
    lines.extend(nonce::lines()?);
    drop(rig);
    lines.extend(start::lines()?);
    lines.extend(revocation::lines()?);
    lines.extend(search::lines(search::CERTIFICATES)?);
    lines.push(size::line()?);
    print(&lines);
    Ok(())
}

/// Measures searches among so many certificates, a million if it is not said, and prints a table.
pub fn searches(certificates: Option<u32>) -> Result<(), Failure> {
    print(&search::lines(certificates.unwrap_or(search::CERTIFICATES))?);
    Ok(())
}

/// Measures full orders and nonces, and prints a table.
pub fn orders() -> Result<(), Failure> {
    let rig = Rig::start(&Options::default());
    let mut lines = order::lines(&rig)?;
    lines.extend(nonce::lines()?);
    print(&lines);
    Ok(())
}

/// Measures CRLs, OCSP and revocation, and prints a table.
pub fn revocation() -> Result<(), Failure> {
    print(&revocation::lines()?);
    Ok(())
}

fn print(lines: &[Line]) {
    let width = |text: fn(&Line) -> &str| lines.iter().map(|line| text(line).chars().count()).max().unwrap_or(0);
    let (what, measured) = (width(|line| &line.what), width(|line| &line.measured));
    println!("{:what$}  {:measured$}  budget", "what", "measured");
    for line in lines {
        println!("{:what$}  {:measured$}  {}", line.what, line.measured, line.budget);
    }
}
