//! A token that fails, in every way that a CK_RV can name and some that it cannot.

use std::thread;
use std::time::{Duration, Instant};

use cryptoki::error::{Rv, RvError};
use policy::key::{KeyAlgorithm, SignatureScheme};

use super::super::errors::{name, row};
use super::super::{ErrorClass, LoginError, Token, TokenConfig, TokenError, TokenKey, create_token};
use super::{Fixture, PIN, SO_PIN, pin, wait_until};

/// C_Sign calls of one signature: the length, then the signature.
const CALLS: usize = 2;

/// Every code that cryptoki knows by name, one of a vendor, and one that nobody knows.
fn every_code() -> Vec<(u64, RvError)> {
    (1..0x400)
        .chain([0x8000_0001, 0x7fff_ffff])
        .filter_map(|code| match Rv::from(code) {
            Rv::Error(RvError::UnknownErrorCode(_)) if code < 0x400 => None,
            Rv::Error(rv) => Some((code, rv)),
            Rv::Ok => None,
        })
        .collect()
}

fn sign(token: &Token, key: &TokenKey) -> Result<Vec<u8>, TokenError> {
    let signature = token.sign(key, SignatureScheme::EcdsaP256Sha256, b"message")?;
    key.public
        .verify(SignatureScheme::EcdsaP256Sha256, b"message", &signature)
        .expect("a bad signature left the token");
    Ok(signature)
}

#[test]
fn every_code_has_a_name_a_class_and_advice() {
    let codes = every_code();
    // RvError's variants: a code that a new version of cryptoki adds has to be classed here too.
    assert_eq!(codes.len(), 95);
    for (code, rv) in codes {
        let (_, advice) = row(rv);
        assert!(!advice.is_empty(), "{code:#x}");
        assert!(name(rv).starts_with("CK"), "{code:#x}");
    }
    assert_eq!(name(RvError::SessionHandleInvalid), "CKR_SESSION_HANDLE_INVALID");
    assert_eq!(name(RvError::VendorDefined(0x8000_0001)), "CK_RV 0x80000001");
}

#[test]
fn what_tokens_are_known_to_do_is_classed_as_known() {
    let known = [
        (RvError::CryptokiNotInitialized, ErrorClass::Restart),
        (RvError::DeviceError, ErrorClass::Restart),
        (RvError::DeviceMemory, ErrorClass::Transient),
        (RvError::DeviceRemoved, ErrorClass::Restart),
        (RvError::FunctionFailed, ErrorClass::Transient),
        (RvError::GeneralError, ErrorClass::Restart),
        (RvError::HostMemory, ErrorClass::Transient),
        (RvError::KeyHandleInvalid, ErrorClass::Reopen),
        (RvError::MechanismInvalid, ErrorClass::Permanent),
        (RvError::ObjectHandleInvalid, ErrorClass::Reopen),
        (RvError::PinLocked, ErrorClass::Operator),
        (RvError::SessionClosed, ErrorClass::Reopen),
        (RvError::SessionCount, ErrorClass::Transient),
        (RvError::SessionHandleInvalid, ErrorClass::Reopen),
        (RvError::TemplateIncomplete, ErrorClass::Permanent),
        (RvError::TokenNotPresent, ErrorClass::Restart),
        (RvError::TokenNotRecognized, ErrorClass::Operator),
        (RvError::UserNotLoggedIn, ErrorClass::Relogin),
    ];
    for (rv, class) in known {
        assert_eq!(row(rv).0, class, "{rv:?}");
    }
}

#[test]
fn every_code_of_a_signature_that_fails_once_is_recovered_from_as_its_class_says() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    for (code, rv) in every_code() {
        sign(&token, &key).expect("signs before");
        fixture.fault(&format!("C_Sign {code:#x} once"));
        let result = sign(&token, &key);
        let (class, logins) = (row(rv).0, fixture.calls("C_Login"));
        match class {
            ErrorClass::Transient | ErrorClass::Relogin | ErrorClass::Reopen => {
                result.unwrap_or_else(|error| panic!("{rv:?} is not recovered from: {error}"));
                assert_eq!(fixture.calls("C_Sign"), 1 + CALLS, "{rv:?}");
            }
            ErrorClass::Operator | ErrorClass::Permanent | ErrorClass::Restart => {
                assert_eq!(result.expect_err("is not recovered from").class, class, "{rv:?}");
                assert_eq!(fixture.calls("C_Sign"), 1, "{rv:?}");
            }
        }
        assert_eq!(logins, usize::from(class == ErrorClass::Relogin), "{rv:?}");
        // The key is looked for again only after a loss of handles.
        let lost = matches!(class, ErrorClass::Relogin | ErrorClass::Reopen);
        assert_eq!(fixture.calls("C_FindObjectsInit"), usize::from(lost), "{rv:?}");
    }
}

#[test]
fn every_code_of_a_signature_that_keeps_failing_ends_in_bounded_work() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    for (code, rv) in every_code() {
        fixture.fault("");
        sign(&token, &key).expect("signs before");
        fixture.fault(&format!("C_Sign {code:#x}"));
        let error = sign(&token, &key).expect_err("keeps failing");
        let (class, attempts) = match row(rv).0 {
            ErrorClass::Transient => (ErrorClass::Transient, 2),
            ErrorClass::Relogin | ErrorClass::Reopen => (ErrorClass::Restart, 2),
            class => (class, 1),
        };
        assert_eq!(error.class, class, "{rv:?}");
        assert_eq!(fixture.calls("C_Sign"), attempts, "{rv:?}");
        assert!(fixture.calls("C_Login") <= 1, "{rv:?}");
        // Each attempt that failed cost its session, the anchor of a lost login one more.
        assert!(fixture.calls("C_OpenSession") <= attempts, "{rv:?}: {}", fixture.calls("C_OpenSession"));
    }
}

#[test]
fn a_lost_login_is_made_good_once_for_all_threads() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    for _ in 0..10 {
        fixture.fault("C_SignInit 0x101 once");
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..4 {
                        sign(&token, &key).expect("signs");
                    }
                });
            }
        });
        assert_eq!(fixture.calls("C_Login"), 1);
    }
}

#[test]
fn a_token_that_loses_every_login_is_not_asked_for_ever() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    fixture.fault("C_SignInit 0x101");
    for _ in 0..10 {
        assert_eq!(sign(&token, &key).expect_err("fails").class, ErrorClass::Restart);
    }
    assert_eq!(fixture.calls("C_Login"), 3);
}

#[test]
fn a_pin_that_is_refused_after_it_was_right_is_never_tried_again() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    fixture.fault("C_SignInit 0x101 once\nC_Login 0xa0");
    for _ in 0..5 {
        assert_eq!(sign(&token, &key).expect_err("is logged out").class, ErrorClass::Operator);
    }
    assert_eq!(fixture.calls("C_Login"), 1);
    fixture.fault("");
    token.login(&pin(PIN)).expect("logs in");
    sign(&token, &key).expect("signs");
}

#[test]
fn one_login_is_one_attempt_whatever_the_token_says() {
    let fixture = Fixture::with_faults();
    fixture.create();
    let token = Token::open(&fixture.config()).expect("opens");
    for (code, rv) in every_code() {
        fixture.fault(&format!("C_Login {code:#x}"));
        match (rv, token.login(&pin(PIN)).expect_err("fails")) {
            (RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, LoginError::WrongPin) => {}
            (RvError::PinLocked, LoginError::Locked) => {}
            (_, LoginError::Token(error)) => assert_eq!(error.class, row(rv).0, "{rv:?}"),
            (_, other) => panic!("{rv:?}: {other}"),
        }
        assert_eq!(fixture.calls("C_Login"), 1, "{rv:?}");
    }
}

#[test]
fn a_signature_with_a_wrong_bit_never_leaves() {
    let fixture = Fixture::with_faults();
    let token = fixture.token();
    let cases = [
        ("p256", KeyAlgorithm::P256, 256, SignatureScheme::EcdsaP256Sha256),
        ("p384", KeyAlgorithm::P384, 384, SignatureScheme::EcdsaP384Sha384),
        ("ed25519", KeyAlgorithm::Ed25519, 256, SignatureScheme::Ed25519),
        ("rsa", KeyAlgorithm::Rsa, 2048, SignatureScheme::RsaPkcs1Sha256),
        ("rsa-pss", KeyAlgorithm::Rsa, 2048, SignatureScheme::RsaPssSha256),
    ];
    let mut bad = 0;
    for (label, algorithm, bits, scheme) in cases {
        let key = token.generate(label, algorithm, bits).expect("generates");
        fixture.fault("C_Sign flip");
        assert_eq!(token.sign(&key, scheme, b"message").expect_err("is thrown away").class, ErrorClass::Transient);
        assert_eq!(fixture.calls("C_Sign"), 2 * CALLS, "{label}");
        fixture.fault("C_Sign flip once");
        token.sign(&key, scheme, b"message").expect("the second is good");
        bad += 3;
        assert_eq!(token.bad_signatures.load(std::sync::atomic::Ordering::Relaxed), bad);
    }
}

#[test]
fn an_impossible_length_is_an_error_and_no_panic() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    for function in ["C_Sign", "C_FindObjects"] {
        token.logout();
        token.login(&pin(PIN)).expect("logs in");
        fixture.fault(&format!("{function} length"));
        assert_eq!(sign(&token, &key).expect_err("fails").class, ErrorClass::Transient, "{function}");
        fixture.fault("");
        sign(&token, &key).expect("signs");
    }
}

/// Ends what hangs when it is dropped, so that a test that fails meanwhile ends too.
struct Release<'a>(&'a Fixture);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.fault("");
    }
}

#[test]
fn a_call_that_hangs_is_seen() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    assert_eq!(token.oldest_call(), None);
    fixture.fault("C_Sign hang once");
    thread::scope(|scope| {
        let release = Release(&fixture);
        let hanging = scope.spawn(|| sign(&token, &key));
        wait_until("the call is seen", || token.oldest_call().is_some_and(|age| age > Duration::from_millis(50)));
        // Younger calls that come and go do not hide it.
        let age = token.oldest_call().expect("hangs");
        token.key("key").expect("other sessions work");
        assert!(token.oldest_call().expect("still hangs") > age);
        drop(release);
        hanging.join().expect("no panic").expect("signs in the end");
    });
    assert_eq!(token.oldest_call(), None);
}

#[test]
fn a_login_that_hangs_is_seen() {
    let fixture = Fixture::with_faults();
    let token = fixture.token();
    token.logout();
    fixture.fault("C_Login hang once");
    thread::scope(|scope| {
        let release = Release(&fixture);
        let hanging = scope.spawn(|| token.login(&pin(PIN)));
        wait_until("the call is seen", || token.oldest_call().is_some_and(|age| age > Duration::from_millis(50)));
        drop(release);
        hanging.join().expect("no panic").expect("logs in in the end");
    });
}

#[test]
fn waiting_for_a_session_ends_at_the_deadline() {
    let mut fixture = Fixture::with_faults();
    fixture.sessions = 1;
    fixture.deadline = Duration::from_millis(100);
    let (token, key) = fixture.token_and_key();
    fixture.fault("C_Sign hang once");
    thread::scope(|scope| {
        let release = Release(&fixture);
        let hanging = scope.spawn(|| sign(&token, &key));
        wait_until("the session is taken", || fixture.calls("C_Sign") > 0);
        let started = Instant::now();
        let error = sign(&token, &key).expect_err("no session is free");
        assert_eq!(error.class, ErrorClass::Transient);
        assert!(started.elapsed() >= fixture.deadline && started.elapsed() < Duration::from_secs(5));
        drop(release);
        hanging.join().expect("no panic").expect("signs in the end");
    });
}

#[test]
fn a_token_that_gives_no_more_sessions_is_used_with_fewer() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    sign(&token, &key).expect("signs");
    fixture.fault("C_OpenSession 0xb1\nC_Sign slow 2");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| sign(&token, &key).expect("signs with the one session"));
        }
    });
    assert!(fixture.calls("C_OpenSession") >= 1);
}

#[test]
fn a_slot_that_cannot_be_read_hides_no_other() {
    let fixture = Fixture::with_faults();
    let labels = ["signet-one", "signet-two"];
    for label in labels {
        create_token(&fixture.config(), &pin(SO_PIN), &pin(PIN), label).expect("makes a token");
    }
    // Whichever token is in the first slot cannot be read at first, and the other one is found
    // without a second try.
    let mut tries = labels.map(|label| {
        fixture.fault("C_GetTokenInfo 0x30 once");
        let uri = format!("pkcs11:token={label}");
        Token::open(&TokenConfig { uri: &uri, ..fixture.config() }).expect("is found");
        fixture.calls("C_Initialize")
    });
    tries.sort_unstable();
    assert_eq!(tries, [1, 2]);
}

#[test]
fn a_lost_session_whose_login_is_gone_too_brings_a_new_login() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    sign(&token, &key).expect("signs");
    fixture.fault("C_Sign 0xb3 once\nC_GetSessionInfo 0xb3 once");
    sign(&token, &key).expect("signs");
    assert_eq!(fixture.calls("C_Login"), 1);
}

#[test]
fn a_key_that_cannot_be_read_back_is_not_left_in_the_token() {
    let fixture = Fixture::with_faults();
    let token = fixture.token();
    fixture.fault("C_GetAttributeValue 0x5 once");
    token.generate("key", KeyAlgorithm::P256, 256).expect_err("is not read back");
    assert_eq!(fixture.calls("C_DestroyObject"), 2);
    let key = token.generate("key", KeyAlgorithm::P256, 256).expect("the label is free");
    sign(&token, &key).expect("signs");
}

#[test]
fn handles_are_looked_for_once() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    fixture.fault("");
    for _ in 0..10 {
        sign(&token, &key).expect("signs");
    }
    assert_eq!(fixture.calls("C_FindObjectsInit"), 1);
    assert_eq!(fixture.calls("C_OpenSession"), 0);
}

#[test]
fn dropping_a_token_logs_out_closes_every_session_and_finalises() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    sign(&token, &key).expect("signs");
    fixture.fault("");
    drop(token);
    assert_eq!(fixture.calls("C_Logout"), 1);
    assert_eq!(fixture.calls("C_CloseSession"), 2);
    assert_eq!(fixture.calls("C_Finalize"), 1);
}
