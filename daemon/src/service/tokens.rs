//! API tokens: 256 random bits that act for a program, within what they were granted.

use std::ops::Bound;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hsm::wire::Act;
pub use hsm::wire::TokenState;
use policy::effects::UnixTime;
pub use policy::grant::TokenGrant;
use policy::rights::{TokenRights, tokens_may};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::peer::hex;
use super::rights::{Denied, Locked, Permitted};
use super::{Failure, Services};
use crate::store::{Change, CommitError, Table, Versioned};

/// API tokens. Key: SHA-256 of the token, lower-case hexadecimal.
///
/// A hash without salt or iterations is right for a secret of 256 random bits: nobody can guess it, so
/// there is nothing to slow down, and who reads the store learns nothing that opens a door. Finding it
/// by its hash takes the same time for every token.
const TOKENS: Table<TokenRecord> = Table::new("api_tokens");

/// When tokens were last used, to the hour. Key: as in [`TOKENS`].
const TOKEN_USES: Table<UnixTime> = Table::new("api_token_uses");

/// An API token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TokenRecord {
    grant: TokenGrant,
    created: UnixTime,
    created_by: String,
    state: TokenState,
    /// When it last got another state, and by whom.
    changed: Option<Changed>,
}

/// When a token got another state, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// When.
    pub at: UnixTime,
    /// By whom, in the words of the journal.
    pub by: String,
}

/// An API token as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The first 16 digits of its hash.
    pub id: String,
    /// What it grants.
    pub grant: TokenGrant,
    /// When it was made.
    pub created: UnixTime,
    /// By whom, in the words of the journal.
    pub created_by: String,
    /// How it stands.
    pub state: TokenState,
    /// When it last got another state, and by whom.
    pub changed: Option<Changed>,
    /// When it was last used, to the hour.
    pub last_used: Option<UnixTime>,
}

/// A token itself. It goes nowhere but once to who makes it.
pub struct TokenSecret(Zeroizing<String>);

impl TokenSecret {
    /// The token as programs show it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenDenied {
    /// An administrator disabled it.
    #[error("this token is disabled: ask an administrator for `signetctl token enable`")]
    Disabled,
    /// Its time is over.
    #[error("this token has expired: ask an administrator for another one")]
    Expired,
    /// It is locked.
    #[error("this token is locked: ask an administrator for `signetctl token enable`")]
    Locked,
    /// It was revoked.
    #[error("this token was revoked: ask an administrator for another one")]
    Revoked,
    /// There is no such token.
    #[error("this is no token of this CA")]
    Unknown,
}

/// Most tokens on one page.
pub const MOST: usize = 100;

impl Services {
    /// Makes a token: journalled, then in the store. It is given out here and never again.
    pub async fn create_token(
        &self,
        permitted: &Permitted,
        grant: TokenGrant,
    ) -> Result<(Token, TokenSecret), Failure> {
        self.check_grant(&grant)?;
        let octets = Zeroizing::new(self.random.bytes::<32>().map_err(|error| Failure::Internal(error.to_string()))?);
        let secret =
            TokenSecret(Zeroizing::new(format!("{PREFIX}{}", *Zeroizing::new(URL_SAFE_NO_PAD.encode(*octets)))));
        let hash = hash(secret.reveal());
        let actor = permitted.actor();
        let record = TokenRecord {
            grant: grant.clone(),
            created: self.clock.now(),
            created_by: actor.who.clone(),
            state: TokenState::Enabled,
            changed: None,
        };
        self.ca.note(Act::CreateToken { token: id(&hash).to_owned(), grant }, actor.clone()).await?;
        let mut change = Change::new();
        change.insert(&TOKENS, &hash, &record);
        self.store.commit(change).await?;
        tracing::info!(who = actor.who, token = id(&hash), "API token created");
        Ok((token(&hash, record, None), secret))
    }

    /// A page of tokens after that id, revoked ones included; the `bool` says whether there are more.
    pub fn tokens(
        &self,
        _permitted: &Permitted,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Token>, bool), Failure> {
        let limit = limit.clamp(1, MOST);
        let after = after.map(end);
        let from = after.as_ref().map_or(Bound::Unbounded, |end| Bound::Included(end.as_bytes()));
        let rows = self.store.scan(&TOKENS, (from, Bound::Unbounded), limit + 1, false)?;
        let more = rows.len() > limit;
        let read = |(key, row): (Vec<u8>, Versioned<TokenRecord>)| {
            let hash = String::from_utf8_lossy(&key);
            let used = self.store.get(&TOKEN_USES, &key)?.map(|row| row.value);
            Ok(token(&hash, row.value, used))
        };
        Ok((rows.into_iter().take(limit).map(read).collect::<Result<_, Failure>>()?, more))
    }

    /// The token of that id.
    pub fn token(&self, _permitted: &Permitted, id: &str) -> Result<Token, Failure> {
        let (hash, row) = self.token_row(id)?;
        let used = self.store.get(&TOKEN_USES, &hash)?.map(|row| row.value);
        Ok(token(&hash, row.value, used))
    }

    /// Enables, disables, locks or revokes a token: journalled, then in force from the next request on.
    /// A revoked one stays revoked.
    pub async fn set_token(&self, permitted: &Permitted, id: &str, state: TokenState) -> Result<(), Failure> {
        let (_, row) = self.token_row(id)?;
        match row.value.state {
            before if before == state => return Ok(()),
            TokenState::Revoked => return Err(Failure::Conflict("a revoked token stays revoked: make another".into())),
            TokenState::Disabled | TokenState::Enabled | TokenState::Locked => {}
        }
        let actor = permitted.actor();
        self.ca.note(Act::SetToken { token: id.to_owned(), state }, actor.clone()).await?;
        for _ in 0..CONFLICTS {
            let (hash, row) = self.token_row(id)?;
            let mut record = row.value;
            if record.state == TokenState::Revoked {
                break;
            }
            record.state = state;
            record.changed = Some(Changed { at: self.clock.now(), by: actor.who.clone() });
            let mut change = Change::new();
            change.update(&TOKENS, &hash, row.version, &record);
            match self.store.commit(change).await {
                Err(CommitError::Conflict(_)) => {}
                other => {
                    other?;
                    tracing::info!(who = actor.who, token = id, ?state, "API token changed");
                    return Ok(());
                }
            }
        }
        Err(Failure::Conflict("the token is being changed by somebody else: look at it, and try again".into()))
    }

    /// The token that was shown: its id and what it grants.
    pub(super) fn token_shown(&self, text: &str, locked: Locked) -> Result<(String, Arc<TokenGrant>), Denied> {
        let hash = hash(text);
        let record = self.store.get(&TOKENS, &hash)?.ok_or(TokenDenied::Unknown)?.value;
        let now = self.clock.now();
        record.counts(now, locked)?;
        let used = self.store.get(&TOKEN_USES, &hash)?;
        if used.is_none_or(|used| used.value.plus(USE) <= now) {
            let store = self.store.clone();
            let mut change = Change::new();
            change.put(&TOKEN_USES, &hash, &now);
            // Nobody waits for it, and if it is lost the next use writes it.
            tokio::spawn(async move { store.commit(change).await });
        }
        Ok((id(&hash).to_owned(), Arc::new(record.grant)))
    }

    /// Whether the token with this id, which was shown, is still taken.
    pub(super) fn token_counts(&self, id: &str) -> Result<(), Failure> {
        let (_, row) = self.token_row(id)?;
        row.value.counts(self.clock.now(), Locked::Refused).map_err(|denied| Failure::Refused(denied.to_string()))
    }

    fn check_grant(&self, grant: &TokenGrant) -> Result<(), Failure> {
        let TokenRights { permissions, .. } = &grant.rights;
        if let Some(beyond) = permissions.iter().find(|&&permission| !tokens_may(permission)) {
            return Err(Failure::Refused(format!("no token carries the right `{beyond}`: it takes a person")));
        }
        if permissions.is_empty() {
            return Err(Failure::Conflict("the token would carry no right: name at least one".into()));
        }
        let profiles = self.profiles.now();
        if let Some(unknown) = grant.profiles.iter().find(|name| !profiles.contains_key(*name)) {
            let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
            let known = known.join(", ");
            return Err(Failure::Conflict(format!("there is no profile `{unknown}`: use one of {known}")));
        }
        if grant.expires.is_some_and(|last| last < self.clock.now()) {
            return Err(Failure::Conflict("the token would be expired already: write a later time".into()));
        }
        Ok(())
    }

    /// The row of the token with this id, and its key.
    fn token_row(&self, id: &str) -> Result<(String, Versioned<TokenRecord>), Failure> {
        let missing = || Failure::Missing(format!("no API token has the id `{id:.32}`: see `signetctl token list`"));
        if id.len() != ID || !id.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(missing());
        }
        let end = end(id);
        let range = (Bound::Included(id.as_bytes()), Bound::Excluded(end.as_bytes()));
        let (key, row) = self.store.scan(&TOKENS, range, 1, false)?.pop().ok_or_else(missing)?;
        Ok((String::from_utf8_lossy(&key).into_owned(), row))
    }
}

impl TokenRecord {
    /// Whether it is taken.
    fn counts(&self, now: UnixTime, locked: Locked) -> Result<(), TokenDenied> {
        match self.state {
            TokenState::Disabled => Err(TokenDenied::Disabled),
            TokenState::Locked if locked == Locked::Refused => Err(TokenDenied::Locked),
            TokenState::Revoked => Err(TokenDenied::Revoked),
            TokenState::Enabled | TokenState::Locked if self.grant.expires.is_some_and(|last| now > last) => {
                Err(TokenDenied::Expired)
            }
            TokenState::Enabled | TokenState::Locked => Ok(()),
        }
    }
}

fn token(hash: &str, record: TokenRecord, last_used: Option<UnixTime>) -> Token {
    let TokenRecord { grant, created, created_by, state, changed } = record;
    Token { id: id(hash).to_owned(), grant, created, created_by, state, changed, last_used }
}

fn hash(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

/// What names a token with this hash.
fn id(hash: &str) -> &str {
    &hash[..ID]
}

/// What lies after every hash that begins with `id`.
fn end(id: &str) -> String {
    format!("{id}g")
}

/// Digits of an id: 64 bits, which no two tokens share.
const ID: usize = 16;

/// What a token begins with, so that who finds one knows what it is.
const PREFIX: &str = "signet_";

/// How exactly the last use is known, in seconds.
const USE: u64 = 3600;

/// How often a change of a token is tried against others at the same time.
const CONFLICTS: usize = 8;

#[cfg(test)]
mod tests {
    use policy::rights::{Permission, Scope};

    use super::*;
    use crate::testing::{Authority, NOW, services};

    fn record(expires: Option<UnixTime>) -> TokenRecord {
        let rights = TokenRights { permissions: [Permission::Certify].into(), scope: Scope::Own };
        let owner = "a test".to_owned();
        TokenRecord {
            grant: TokenGrant { owner, rights, names: Vec::new(), profiles: Vec::new(), expires },
            created: NOW,
            created_by: "console".to_owned(),
            state: TokenState::Enabled,
            changed: None,
        }
    }

    #[tokio::test]
    async fn a_token_is_taken_to_its_last_second_and_its_use_is_known_to_the_hour() {
        let directory = tempfile::tempdir().unwrap();
        let services = services(directory.path(), &Authority::new(), directory.path().join("nobody"));
        let mut change = Change::new();
        for (text, expires) in [("over", Some(NOW.minus(1))), ("last", Some(NOW)), ("ever", None)] {
            change.insert(&TOKENS, hash(text), &record(expires));
        }
        let recent = NOW.minus(USE - 1);
        change.insert(&TOKEN_USES, hash("ever"), &recent);
        services.store.commit(change).await.unwrap();
        assert!(matches!(services.token_shown("over", Locked::Refused), Err(Denied::Token(TokenDenied::Expired))));
        assert!(matches!(services.token_shown("none", Locked::Refused), Err(Denied::Token(TokenDenied::Unknown))));
        assert!(
            services.token_shown("last", Locked::Refused).is_ok()
                && services.token_shown("ever", Locked::Refused).is_ok()
        );
        let used = |text: &str| services.store.get(&TOKEN_USES, hash(text)).unwrap().map(|row| row.value);
        while used("last").is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!((used("last"), used("ever"), used("over")), (Some(NOW), Some(recent), None));
    }
}
