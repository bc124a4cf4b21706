//! Several clients at once, until they are told to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ClientConfig;

use super::{Client, Failure, Issued, Responder, Seen};

/// What is ordered, and how.
#[derive(Clone)]
pub struct Plan {
    /// URL of the directory.
    pub directory: String,
    /// Trust.
    pub tls: Arc<ClientConfig>,
    /// Who answers the challenges.
    pub responder: Responder,
    /// Clients at a time, each with an account of its own.
    pub clients: usize,
    /// How long one step is tried while the service is away.
    pub patience: Duration,
}

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    issued: Arc<Mutex<Vec<Issued>>>,
    clients: Vec<JoinHandle<Report>>,
}

/// What the clients got and saw.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every certificate that a client downloaded.
    pub issued: Vec<Issued>,
    /// What they saw, added up.
    pub seen: Seen,
    /// Orders that came to nothing, and why.
    pub failed: Vec<Failure>,
}

impl Load {
    /// Starts; every order is for a name of its own.
    pub fn start(plan: &Plan) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let issued = Arc::<Mutex<Vec<Issued>>>::default();
        let clients = (0..plan.clients).map(|number| {
            let (plan, stop, issued) = (plan.clone(), stop.clone(), issued.clone());
            std::thread::spawn(move || run(&plan, number, &stop, &issued))
        });
        Self { clients: clients.collect(), stop, issued }
    }

    /// Certificates that clients have downloaded so far.
    pub fn issued(&self) -> u64 {
        lock(&self.issued).len() as u64
    }

    /// The certificates that clients hold by now.
    pub fn held(&self) -> Vec<Issued> {
        lock(&self.issued).clone()
    }

    /// Lets every client finish its order, and collects what they saw.
    pub fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut whole = Report::default();
        let issued = self.issued;
        for client in self.clients {
            let report = client
                .join()
                .unwrap_or_else(|_| Report { failed: vec!["a client panicked".into()], ..Report::default() });
            whole.failed.extend(report.failed);
            whole.seen.unavailable += report.seen.unavailable;
            whole.seen.lost += report.seen.lost;
            whole.seen.bad_nonces += report.seen.bad_nonces;
            whole.seen.wrong.extend(report.seen.wrong);
        }
        whole.issued = lock(&issued).clone();
        whole
    }
}

fn lock(issued: &Mutex<Vec<Issued>>) -> MutexGuard<'_, Vec<Issued>> {
    issued.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(plan: &Plan, number: usize, stop: &AtomicBool, issued: &Mutex<Vec<Issued>>) -> Report {
    let mut report = Report::default();
    let client = Client::new(&plan.directory, plan.tls.clone(), plan.responder.clone(), plan.patience);
    let mut client = match client.and_then(|mut client| client.register().map(|()| client)) {
        Ok(client) => client,
        Err(error) => {
            report.failed.push(error);
            return report;
        }
    };
    for order in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match client.obtain(&format!("order-{order}.client-{number}.example.test")) {
            Ok(certificate) => lock(issued).push(certificate),
            Err(error) => report.failed.push(error),
        }
    }
    report.seen = client.seen;
    report
}
