//! Sessions: JSON Web Tokens (RFC 7519) with HMAC-SHA256, as clients of the dialect expect. The key is made at
//! every start, so a restart ends them all. What counts of a session is the account that it names, and that
//! is read anew at each request: a removed account has none, and the role is the one of now.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::effects::{EntropyError, UnixTime};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::accounts::AccountRecord;
use crate::service::Random;
use crate::service::peer::hex;

/// How long a session lasts, in seconds.
pub const LIFETIME: u64 = 3600;

/// A session's token, on its way to its owner.
pub struct Session(Zeroizing<String>);

impl Session {
    /// The token as clients show it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

pub(super) struct Sessions {
    key: hmac::Key,
    /// Those that were ended before their time: their ids, and when their time is over.
    ended: Mutex<HashMap<String, u64>>,
}

/// What a token says, signed.
#[derive(Serialize, Deserialize)]
pub(super) struct Claims {
    /// The account.
    pub(super) id: u64,
    email: String,
    role_id: u8,
    /// The account's own, of when the session began.
    pub(super) stamp: u64,
    jti: String,
    iat: u64,
    exp: u64,
}

impl Sessions {
    pub(super) fn new(random: &Random) -> Result<Self, EntropyError> {
        let key = Zeroizing::new(random.bytes::<32>()?);
        Ok(Self { key: hmac::Key::new(HMAC_SHA256, &*key), ended: Mutex::default() })
    }

    /// Begins a session of this account.
    pub(super) fn begin(
        &self,
        id: u64,
        account: &AccountRecord,
        random: &Random,
        now: UnixTime,
    ) -> Result<Session, EntropyError> {
        let claims = Claims {
            id,
            email: account.email.to_string(),
            role_id: account.role.number(),
            stamp: account.stamp,
            jti: hex(&random.bytes::<16>()?),
            iat: now.0,
            exp: now.plus(LIFETIME).0,
        };
        let claims = serde_json::to_vec(&claims).expect("it has string keys and no foreign types");
        let mut token = Zeroizing::new(format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims)));
        let mac = hmac::sign(&self.key, token.as_bytes());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(mac));
        Ok(Session(token))
    }

    /// What a token says, if it is one of ours and its time is not over. Total: any text has an answer.
    pub(super) fn read(&self, token: &str, now: UnixTime) -> Option<Claims> {
        let (signed, mac) = token.rsplit_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &mac).ok()?;
        // What we signed has one form, so its header need not be asked which algorithm it is.
        let claims = URL_SAFE_NO_PAD.decode(signed.strip_prefix(HEADER)?.strip_prefix('.')?).ok()?;
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&claims.jti);
        (!ended && now.0 < claims.exp).then_some(claims)
    }

    /// Ends a session before its time.
    pub(super) fn end(&self, token: &str, now: UnixTime) {
        let Some(claims) = self.read(token, now) else { return };
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, over| now.0 < *over);
        ended.insert(claims.jti, claims.exp);
    }
}

/// `{"alg":"HS256","typ":"JWT"}`
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

#[cfg(test)]
mod tests {
    use policy::notary::{Email, Role};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{NOW, SystemEntropy};

    fn account() -> AccountRecord {
        AccountRecord::new(Email::parse("a@example.com").unwrap(), Role::Manager, None, NOW, 5)
    }

    #[test]
    fn a_session_is_read_until_its_time_is_over_or_it_is_ended() {
        let random = Random::new(Box::new(SystemEntropy));
        let sessions = Sessions::new(&random).unwrap();
        let begin = || sessions.begin(7, &account(), &random, NOW).unwrap();
        let (first, second) = (begin(), begin());
        let claims = sessions.read(first.reveal(), NOW).unwrap();
        assert_eq!((claims.id, claims.email.as_str(), claims.role_id, claims.stamp), (7, "a@example.com", 1, 5));
        assert!(sessions.read(first.reveal(), NOW.plus(LIFETIME - 1)).is_some());
        assert!(sessions.read(first.reveal(), NOW.plus(LIFETIME)).is_none());
        sessions.end(first.reveal(), NOW);
        assert!(sessions.read(first.reveal(), NOW).is_none());
        assert!(sessions.read(second.reveal(), NOW).is_some());
        let later = NOW.plus(LIFETIME);
        let third = sessions.begin(7, &account(), &random, later).unwrap();
        sessions.end(third.reveal(), later);
        assert_eq!(sessions.ended.lock().unwrap().len(), 1, "what is over anyway is forgotten");
    }

    #[test]
    fn a_token_that_another_key_or_no_key_signed_is_none() {
        let random = Random::new(Box::new(SystemEntropy));
        let (sessions, others) = (Sessions::new(&random).unwrap(), Sessions::new(&random).unwrap());
        let foreign = others.begin(7, &account(), &random, NOW).unwrap();
        assert!(sessions.read(foreign.reveal(), NOW).is_none());
        let own = sessions.begin(7, &account(), &random, NOW).unwrap();
        let parts: Vec<&str> = own.reveal().split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        for token in [format!("{none}.{}.", parts[1]), format!("{none}.{}.{}", parts[1], parts[2])] {
            assert!(sessions.read(&token, NOW).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in "[ -~]{0,80}") {
            let random = Random::new(Box::new(SystemEntropy));
            prop_assert!(Sessions::new(&random).unwrap().read(&text, NOW).is_none());
        }
    }
}
