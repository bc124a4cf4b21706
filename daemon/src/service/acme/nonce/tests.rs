//! What holds of nonces wherever it is kept which were used.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::Barrier;

use super::*;
use crate::service::acme::testing::World;

/// One of each, and what keeps it alive.
async fn keepers() -> (World, [Arc<dyn Nonces>; 2]) {
    let world = World::new().await;
    let stored = Stored::start(Arc::clone(&world.services)).await.unwrap();
    (world, [Arc::new(Memory::new([7; 32])), Arc::new(stored)])
}

#[tokio::test]
async fn a_nonce_is_good_once_and_no_two_are_alike() {
    let (_world, keepers) = keepers().await;
    for nonces in keepers {
        let made: Vec<String> = (0..100).map(|_| nonces.make().unwrap()).collect();
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), made.len());
        for nonce in &made {
            assert_eq!(nonce.len(), 43);
            assert_eq!(nonces.take(nonce).await, Ok(()));
            assert_eq!(nonces.take(nonce).await, Err(NonceError::Stale));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_parallel_uses_exactly_one_wins_whoever_keeps_the_nonces() {
    let (_world, keepers) = keepers().await;
    for nonces in keepers {
        for _ in 0..50 {
            let nonce: Arc<str> = nonces.make().unwrap().into();
            let start = Arc::new(Barrier::new(8));
            let uses: Vec<_> = (0..8)
                .map(|_| {
                    let (nonces, nonce, start) = (nonces.clone(), nonce.clone(), start.clone());
                    tokio::spawn(async move {
                        start.wait().await;
                        nonces.take(&nonce).await.is_ok()
                    })
                })
                .collect();
            let mut wins = 0;
            for one in uses {
                wins += usize::from(one.await.unwrap());
            }
            assert_eq!(wins, 1);
        }
    }
}

#[tokio::test]
async fn what_is_not_base64url_is_malformed_and_what_is_foreign_or_changed_is_stale() {
    let (_world, keepers) = keepers().await;
    let foreign = Memory::new([8; 32]).make().unwrap();
    for nonces in keepers {
        let good = nonces.make().unwrap();
        for text in ["a b", "abc=", "ab+/", "ü", &format!("{good}=")] {
            assert_eq!(nonces.take(text).await, Err(NonceError::Malformed), "{text}");
        }
        for text in ["", "AAAA", &foreign, &good[4..]] {
            assert_eq!(nonces.take(text).await, Err(NonceError::Stale), "{text}");
        }
        // Each character but the last, some of whose bits must be zero.
        for at in 0..good.len() - 1 {
            let other = if &good[at..=at] == "A" { "B" } else { "A" };
            let changed = format!("{}{other}{}", &good[..at], &good[at + 1..]);
            assert_eq!(nonces.take(&changed).await, Err(NonceError::Stale), "{changed}");
        }
        assert_eq!(nonces.take(&good).await, Ok(()));
    }
}

#[tokio::test]
async fn a_stored_nonce_is_good_in_every_daemon_over_the_store_and_used_in_all() {
    let world = World::new().await;
    let daemon = async || Stored::start(Arc::clone(&world.services)).await.unwrap();
    let (first, second) = (daemon().await, daemon().await);
    let nonce = first.make().unwrap();
    assert_eq!(second.take(&nonce).await, Ok(()));
    assert_eq!(first.take(&nonce).await, Err(NonceError::Stale));
    // A crash is nothing: a third daemon goes on.
    let nonce = first.make().unwrap();
    let third = daemon().await;
    assert_eq!(third.take(&nonce).await, Ok(()));
    assert_eq!(second.take(&nonce).await, Err(NonceError::Stale));
}

#[tokio::test]
async fn stored_nonces_expire_and_their_rows_are_deleted() {
    let world = World::new().await;
    let nonces = Stored::start(Arc::clone(&world.services)).await.unwrap();
    let old = nonces.make().unwrap();
    let mut rows = Vec::new();
    for _ in 0..6 {
        for _ in 0..300 {
            let nonce = nonces.make().unwrap();
            nonces.take(&nonce).await.unwrap();
        }
        rows.push(stored::used(&world.store));
        world.clock.advance(2000);
    }
    assert_eq!(nonces.take(&old).await, Err(NonceError::Stale));
    // Each round deletes what the round before used, or nearly all of it.
    assert!(rows.iter().all(|rows| *rows < 2 * 300), "{rows:?}");
}
