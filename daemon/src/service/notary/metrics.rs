//! Counters under Notary's names, in the text format of Prometheus.

use std::fmt::Write as _;

use super::requests::Counts;
use crate::service::{Failure, Services};

impl Services {
    /// Requests and certificates of the dialect, and what its surface answered.
    pub async fn render_notary_metrics(&self) -> Result<String, Failure> {
        let counts = self.notary_counts().await?;
        let mut text = String::new();
        render(&counts, &mut text)
            .and_then(|()| self.metrics.render_surface("notary", &mut text))
            .map_err(|error| Failure::Internal(error.to_string()))?;
        Ok(text)
    }
}

fn render(counts: &Counts, text: &mut String) -> std::fmt::Result {
    let mut gauge = |name: &str, help: &str, value: u64| {
        writeln!(text, "# HELP {name} {help}")?;
        writeln!(text, "# TYPE {name} gauge")?;
        writeln!(text, "{name} {value}")
    };
    gauge("certificate_requests", "Certificate requests.", counts.requests)?;
    gauge("outstanding_certificate_requests", "Certificate requests that nobody has decided.", counts.outstanding)?;
    gauge("certificates", "Certificates of requests.", counts.certificates)?;
    gauge("certificates_expired", "Certificates of requests that have expired.", counts.expired)?;
    for (days, count) in Counts::DAYS.iter().zip(counts.expiring) {
        let unit = if *days == 1 { "day" } else { "days" };
        let name = format!("certificates_expiring_in_{days}_{unit}");
        gauge(&name, &format!("Certificates of requests that expire within {days} {unit}."), count)?;
    }
    Ok(())
}
