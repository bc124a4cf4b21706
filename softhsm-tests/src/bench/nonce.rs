//! Nonces: made and taken back, in one thread.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use daemon::service::acme::nonce::{Memory, Nonces};

use super::Line;
use crate::rig::Failure;

/// How long is measured.
const MEASURED: Duration = Duration::from_secs(1);
/// Nonces between two looks at the clock.
const ROUND: u32 = 1000;

pub(super) fn lines() -> Result<Vec<Line>, Failure> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| "no random bytes")?;
    let nonces = Memory::new(secret);
    let (started, mut checked) = (Instant::now(), 0u32);
    while started.elapsed() < MEASURED {
        for _ in 0..ROUND {
            let nonce = nonces.make().map_err(|error| error.to_string())?;
            let mut taking = pin!(nonces.take(&nonce));
            match taking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(taken) => taken.map_err(|error| error.to_string())?,
                Poll::Pending => return Err("a nonce in memory is not waited for".into()),
            }
        }
        checked += ROUND;
    }
    let rate = f64::from(checked) / started.elapsed().as_secs_f64();
    Ok(vec![Line::new("nonces made and checked, one thread", format!("{rate:.0}/s"), "")])
}
