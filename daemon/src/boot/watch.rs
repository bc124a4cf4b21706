//! What goes on as long as the daemon serves: the signers are looked at, the service manager is told, and a
//! hangup has the files read again.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::watch;

use super::notify::Manager;
use super::reload::Reload;
use crate::current::Current;
use crate::service::Services;
use crate::service::health;
use crate::tls::{TlsError, TlsSigner};

/// Asks both signers how they are. An error is a TLS key that is not the certificate's; a signer
/// that does not answer is a fault to be seen in the health, and no reason to be silent.
async fn look_at_signers(services: &Arc<Services>, signer: &TlsSigner) -> Result<(), TlsError> {
    let ca = async {
        let vital = services.ca.status().await.map_err(|error| error.to_string());
        services.vitals.note(health::CA, vital);
    };
    let tls = async {
        let signer = signer.clone();
        let (vital, outcome) = match tokio::task::spawn_blocking(move || signer.status()).await {
            Ok(Ok(status)) => (Ok(status), Ok(())),
            Ok(Err(error @ TlsError::Key(_))) => (Err(error.to_string()), Err(error)),
            Ok(Err(error)) => (Err(error.to_string()), Ok(())),
            Err(error) => (Err(error.to_string()), Ok(())),
        };
        services.vitals.note(health::TLS, vital);
        outcome
    };
    tokio::join!(ca, tls).1
}

/// Looks once; a signer that hangs is not waited for.
pub(super) async fn first_look(services: &Arc<Services>, signer: &TlsSigner) -> Result<(), TlsError> {
    tokio::time::timeout(LOOK, look_at_signers(services, signer)).await.unwrap_or(Ok(()))
}

/// Looks again and again.
pub(super) async fn watch_signers(services: Arc<Services>, signer: Current<TlsSigner>) {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Err(error) = look_at_signers(&services, &signer.now()).await {
            tracing::error!(%error, "the TLS signer changed");
        }
    }
}

/// Keeps the manager informed, until there is no more to say.
pub(super) async fn tell_manager(
    manager: &Manager,
    services: &Services,
    mut stopped: watch::Receiver<bool>,
    mut hangups: Signal,
    mut reload: Reload,
) {
    let mut every = tokio::time::interval(manager.watchdog().unwrap_or(LOOK).min(LOOK));
    let mut said = String::new();
    loop {
        tokio::select! {
            _ = every.tick() => {}
            Some(()) = hangups.recv() => {
                manager.say_reloading();
                let refused;
                (reload, refused) = again(reload).await;
                let status = status(services);
                let refused = refused.map(|why| format!("; reload refused: {why}")).unwrap_or_default();
                manager.say(&format!("READY=1\nSTATUS={status}{refused}"));
                said = status;
                continue;
            }
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
        // A disk that hangs lets nobody go on, and then the manager should hear nothing either.
        let hangs = services.store.commits().busy().is_some_and(|busy| busy > manager.watchdog().unwrap_or(STALLED));
        if hangs {
            tracing::error!("the store does not finish a commit");
            continue;
        }
        let status = status(services);
        let lines = if status == said { "WATCHDOG=1".to_owned() } else { format!("WATCHDOG=1\nSTATUS={status}") };
        manager.say(&lines);
        said = status;
    }
    manager.say("STOPPING=1\nSTATUS=finishing requests");
    std::future::pending().await
}

/// One reload; a sentence, if it was refused.
async fn again(mut reload: Reload) -> (Reload, Option<String>) {
    let (reload, outcome) = tokio::task::spawn_blocking(move || {
        let outcome = reload.run();
        (reload, outcome)
    })
    .await
    .expect("a reload does not panic");
    match outcome {
        Ok(()) => {
            tracing::info!(event = "files_reloaded", "profiles, certificates and the log level were read again");
            (reload, None)
        }
        Err(error) => {
            tracing::error!(event = "files_refused", %error, "the files are refused, and what was read before stays in force");
            (reload, Some(error.to_string()))
        }
    }
}

/// What `systemctl status` shows.
pub(super) fn status(services: &Services) -> String {
    let health = services.health();
    if health.ready { "ready to issue".to_owned() } else { health.reasons.join("; ") }
}

/// How long a commit may take, where the manager does not say.
const STALLED: Duration = Duration::from_secs(15);

/// How often the signers are looked at.
const LOOK: Duration = Duration::from_secs(2);
