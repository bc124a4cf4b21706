//! Authorizations and challenges as they are kept, and the steps between their states (RFC 8555
//! section 7.1.6). Expiry is not stored: it follows from the time.

use policy::effects::UnixTime;
use policy::evidence::{CaaCheck, Method, Observation};
use policy::name::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shape;
use crate::validation::{Failure, FailureKind, Retry, Shown, Wildcard};

/// An authorization (RFC 8555 section 7.1.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRecord {
    /// Whose.
    pub account: String,
    /// For which name, without the label `*` of a wildcard.
    pub name: Name,
    /// Whether it is for the wildcard of the name: then it is not for the name itself.
    pub wildcard: Wildcard,
    /// The profile of the order that it was made for; none if it was made in advance.
    pub profile: Option<String>,
    /// Last second in which it can be used, or validated while pending.
    pub expires: UnixTime,
    /// How far it is.
    pub status: AuthorizationStatus,
    /// The ways to show control, each with a method of its own.
    pub challenges: Vec<Challenge>,
    /// How control was shown, once it was.
    pub proof: Option<Proof>,
}

/// How far an authorization is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// Given up by its owner.
    Deactivated,
    /// A challenge failed.
    Invalid,
    /// Nothing is shown yet.
    Pending,
    /// Taken back by an administrator.
    Revoked,
    /// Control was shown.
    Valid,
}

/// One way to show control (RFC 8555 section 7.1.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Which.
    pub method: Method,
    /// Its token: 256 random bits, base64url; empty for dns-persist-01, which has none.
    pub token: String,
    /// How far it is.
    pub state: ChallengeState,
}

/// How far a challenge is.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum ChallengeState {
    /// Control was not shown.
    Invalid {
        /// Why.
        error: Failure,
    },
    /// Nothing was asked yet.
    Pending,
    /// The client said that it is ready.
    Processing {
        /// What went wrong last, if something did.
        error: Option<Failure>,
    },
    /// Control was shown.
    Valid {
        /// When.
        #[schemars(with = "u64")]
        at: UnixTime,
    },
}

/// How control was shown: what the certificates that rest on it keep.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Proof {
    /// By which challenge.
    #[schemars(with = "shape::Method")]
    pub method: Method,
    /// When.
    #[schemars(with = "u64")]
    pub at: UnixTime,
    /// Version of the validator (I2).
    pub validator: String,
    /// What it saw.
    #[schemars(with = "shape::Observation")]
    pub seen: Observation,
    /// The last CAA check that allowed the name, if one was made.
    #[schemars(with = "Option<shape::CaaCheck>")]
    pub caa: Option<CaaCheck>,
}

impl AuthorizationRecord {
    /// The challenge of that method, if it is offered.
    pub fn challenge(&self, method: Method) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.method == method)
    }

    /// The client is ready for a challenge that is pending.
    pub(super) fn begin(&mut self, method: Method) {
        self.set(method, ChallengeState::Processing { error: None });
    }

    /// An attempt failed, and another one follows.
    pub(super) fn trouble(&mut self, method: Method, error: Failure) {
        self.set(method, ChallengeState::Processing { error: Some(error) });
    }

    /// Control was shown: good until `expires`.
    pub(super) fn show(
        &mut self,
        method: Method,
        shown: Shown,
        caa: Option<CaaCheck>,
        at: UnixTime,
        expires: UnixTime,
    ) {
        self.set(method, ChallengeState::Valid { at });
        self.settle("control was shown by another challenge");
        self.status = AuthorizationStatus::Valid;
        self.expires = shown.until.map_or(expires, |until| until.min(expires));
        self.proof = Some(Proof { method, at, validator: shown.validator.to_owned(), seen: shown.seen, caa });
    }

    /// Control was not shown, and nothing more is tried.
    pub(super) fn fail(&mut self, method: Method, error: Failure) {
        self.set(method, ChallengeState::Invalid { error });
        self.settle("another challenge of the authorization failed");
        self.status = AuthorizationStatus::Invalid;
    }

    /// Ends it before its time; one that is decided otherwise stays as it is. Says whether that is new.
    pub(super) fn end(&mut self, status: AuthorizationStatus, why: &str) -> bool {
        let open = matches!(self.status, AuthorizationStatus::Pending | AuthorizationStatus::Valid);
        if open {
            self.settle(why);
            self.status = status;
        }
        open
    }

    /// Whether a challenge is being validated.
    pub(super) fn is_processing(&self, method: Method) -> bool {
        self.status == AuthorizationStatus::Pending
            && self.challenge(method).is_some_and(|one| matches!(one.state, ChallengeState::Processing { .. }))
    }

    /// Nothing leads back from processing, and nothing will be validated any more.
    fn settle(&mut self, why: &str) {
        for challenge in &mut self.challenges {
            if let ChallengeState::Processing { error } = &mut challenge.state {
                let error = error.take().unwrap_or_else(|| Failure {
                    kind: FailureKind::Unauthorized,
                    detail: why.to_owned(),
                    retry: Retry::No,
                });
                challenge.state = ChallengeState::Invalid { error };
            }
        }
    }

    fn set(&mut self, method: Method, state: ChallengeState) {
        if let Some(challenge) = self.challenges.iter_mut().find(|challenge| challenge.method == method) {
            challenge.state = state;
        }
    }
}
