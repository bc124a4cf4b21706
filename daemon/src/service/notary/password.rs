//! Passwords, hashed with Argon2id (RFC 9106). Hashing takes memory and time on purpose, so few are hashed at
//! a time, on threads that may block.

use std::time::Duration;

use argon2::password_hash::{PasswordHash as Phc, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::service::Failure;

/// A password as somebody typed it.
pub struct Password(Zeroizing<String>);

/// One that an account may get.
pub struct NewPassword(Password);

/// A password that is too easy to guess, or too long to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Password must have 8 or more characters, must include at least one capital letter, one lowercase letter, and \
     either a number or a symbol."
)]
pub struct WeakPassword;

/// What is kept of a password: a PHC string with its parameters and salt.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

/// The text is no Argon2id hash, or one that would take too much to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Argon2id hash with at most 64 MiB of memory and 10 rounds")]
pub struct HashError;

impl Password {
    /// Takes the text over.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Password> for NewPassword {
    type Error = WeakPassword;

    fn try_from(password: Password) -> Result<Self, WeakPassword> {
        let text = &*password.0;
        let has = |which: fn(char) -> bool| text.chars().any(which);
        let strong = (8..=LONGEST).contains(&text.len())
            && has(|letter| letter.is_ascii_uppercase())
            && has(|letter| letter.is_ascii_lowercase())
            && has(|letter| letter.is_ascii_digit() || letter.is_ascii_punctuation());
        if strong { Ok(Self(password)) } else { Err(WeakPassword) }
    }
}

impl NewPassword {
    /// Hashes it.
    pub(super) async fn hash(self, hashing: &Semaphore, salt: [u8; 16]) -> Result<PasswordHash, Failure> {
        let failed =
            |error: argon2::password_hash::Error| Failure::Internal(format!("a password was not hashed: {error}"));
        blocking(hashing, move || {
            let salt = SaltString::encode_b64(&salt).map_err(failed)?;
            let hash = hasher()?.hash_password(self.0.0.as_bytes(), &salt).map_err(failed)?;
            Ok(PasswordHash(hash.to_string()))
        })
        .await
    }
}

impl PasswordHash {
    /// Takes a hash over from elsewhere.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let phc = Phc::new(text).map_err(|_| HashError)?;
        let params = Params::try_from(&phc).map_err(|_| HashError)?;
        let fits = phc.algorithm == argon2::ARGON2ID_IDENT
            && phc.hash.is_some()
            && phc.salt.is_some()
            && params.m_cost() <= 64 * 1024
            && params.t_cost() <= 10;
        if fits { Ok(Self(text.to_owned())) } else { Err(HashError) }
    }

    /// Whether it is the hash of this password. Without a hash it takes as long, and is not.
    pub(super) async fn is_of(hash: Option<Self>, hashing: &Semaphore, password: Password) -> Result<bool, Failure> {
        if password.0.len() > LONGEST {
            return Ok(false);
        }
        blocking(hashing, move || {
            let Some(Self(text)) = hash else {
                let mut out = [0; 32];
                let hashed = hasher()?.hash_password_into(password.0.as_bytes(), &[0; 16], &mut out);
                return hashed.map(|()| false).map_err(|error| Failure::Internal(error.to_string()));
            };
            let phc = Phc::new(&text).map_err(|error| Failure::Internal(format!("a hash is unreadable: {error}")))?;
            Ok(hasher()?.verify_password(password.0.as_bytes(), &phc).is_ok())
        })
        .await
    }
}

fn hasher() -> Result<Argon2<'static>, Failure> {
    let params = Params::new(MEMORY, ROUNDS, 1, None).map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Does work that takes long on a thread that may block, when it is its turn.
async fn blocking<T: Send + 'static>(
    hashing: &Semaphore,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let busy = |_| Failure::Unavailable("too many people sign in: try again soon".to_owned());
    let permit = tokio::time::timeout(PATIENCE, hashing.acquire()).await.map_err(busy)?;
    let _permit = permit.map_err(|error| Failure::Internal(error.to_string()))?;
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::Internal(error.to_string()))?
}

/// Memory of one hash, in KiB, and rounds over it: the second of the parameters that OWASP recommends.
const MEMORY: u32 = 19 * 1024;
const ROUNDS: u32 = 2;

/// Passwords that are hashed at a time: 38 MiB.
pub(super) const AT_A_TIME: usize = 2;

/// Longest wait for one's turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest password, in octets: longer ones only cost time.
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_password_has_letters_of_both_cases_and_something_else() {
        for text in ["Password1", "Aa345678", "aB!aB!aB", "Ünic0dE pass"] {
            assert!(NewPassword::try_from(password(text)).is_ok(), "{text}");
        }
        let long = "Aa1".repeat(400);
        for text in ["", "Passw0r", "password1", "PASSWORD1", "Password", &long] {
            assert!(NewPassword::try_from(password(text)).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_hash_is_of_one_password_only_and_others_hashes_are_taken_within_bounds() {
        let hashing = Semaphore::new(1);
        let new = NewPassword::try_from(password("Password1")).unwrap();
        let hash = new.hash(&hashing, [7; 16]).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        for (text, expected) in [("Password1", true), ("password1", false), ("", false)] {
            let again = PasswordHash::parse(&hash.0).unwrap();
            assert_eq!(PasswordHash::is_of(Some(again), &hashing, password(text)).await, Ok(expected), "{text}");
        }
        assert_eq!(PasswordHash::is_of(None, &hashing, password("Password1")).await, Ok(false));
        for text in [
            "",
            "Password1",
            "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
            &hash.0.replace("argon2id", "argon2i"),
            &hash.0.replace("m=19456", "m=1048576"),
            &hash.0.replace("t=2", "t=11"),
            hash.0.rsplit_once('$').unwrap().0,
        ] {
            assert!(PasswordHash::parse(text).is_err(), "{text}");
        }
    }
}
