//! One token that works, and what others do to it.

use std::fs;
use std::process::Command;
use std::thread;

use policy::key::{KeyAlgorithm, SignatureScheme};

use super::super::{ErrorClass, LoginError, Token, TokenConfig, create_token};
use super::{Fixture, LABEL, PIN, SO_PIN, pin, succeeds};

const MESSAGE: &[u8] = b"to be signed";

#[test]
fn every_algorithm_generates_signs_and_verifies() {
    let fixture = Fixture::new();
    let token = fixture.token();
    let cases = [
        (KeyAlgorithm::P256, 256, &[SignatureScheme::EcdsaP256Sha256][..]),
        (KeyAlgorithm::P384, 384, &[SignatureScheme::EcdsaP384Sha384]),
        (KeyAlgorithm::Ed25519, 256, &[SignatureScheme::Ed25519]),
        (KeyAlgorithm::Rsa, 2048, &[SignatureScheme::RsaPkcs1Sha256, SignatureScheme::RsaPssSha256]),
        (KeyAlgorithm::Rsa, 3072, &[SignatureScheme::RsaPkcs1Sha256, SignatureScheme::RsaPssSha256]),
    ];
    for (algorithm, bits, schemes) in cases {
        let label = format!("{algorithm:?}-{bits}");
        let generated = token.generate(&label, algorithm, bits).expect("generates");
        assert_eq!((generated.public.algorithm(), generated.public.bits()), (algorithm, bits));
        let key = token.key(&label).expect("is found");
        assert_eq!(key.public, generated.public);
        for scheme in schemes {
            for message in [&b""[..], MESSAGE, &vec![7; 100_000]] {
                let signature = token.sign(&key, *scheme, message).expect("signs");
                key.public.verify(*scheme, message, &signature).expect("verifies");
                key.public.verify(*scheme, b"another", &signature).expect_err("is bound to the message");
            }
        }
    }
}

#[test]
fn a_scheme_of_another_algorithm_is_refused() {
    let fixture = Fixture::new();
    let (token, key) = fixture.token_and_key();
    for scheme in [SignatureScheme::EcdsaP384Sha384, SignatureScheme::Ed25519, SignatureScheme::RsaPssSha256] {
        assert_eq!(token.sign(&key, scheme, MESSAGE).expect_err("refused").class, ErrorClass::Permanent);
    }
}

#[test]
fn a_label_that_is_taken_is_refused_and_the_key_stays() {
    let fixture = Fixture::new();
    let (token, key) = fixture.token_and_key();
    let error = token.generate("key", KeyAlgorithm::P384, 384).expect_err("refused");
    assert_eq!(error.class, ErrorClass::Operator);
    assert_eq!(token.key("key").expect("is there").public, key.public);
}

#[test]
fn an_rsa_size_outside_the_range_is_refused() {
    let fixture = Fixture::new();
    let token = fixture.token();
    for bits in [0, 1024, 2047, 4097, 8192] {
        let error = token.generate("small", KeyAlgorithm::Rsa, bits).expect_err("refused");
        assert_eq!(error.class, ErrorClass::Permanent, "{bits}");
    }
}

#[test]
fn a_key_that_can_leave_the_token_is_refused() {
    let fixture = Fixture::new();
    fixture.create();
    let pem = fixture.dir.path().join("key.pem");
    let mut make = Command::new("openssl");
    make.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]).arg(&pem);
    succeeds(&mut make);
    let mut import = Command::new("pkcs11-tool");
    import.arg("--module").arg(&fixture.module).envs(&fixture.environment);
    import.args(["--token-label", LABEL, "--login", "--pin", PIN, "--write-object"]).arg(&pem);
    import.args(["--type", "privkey", "--label", "loose", "--extractable", "--sensitive", "--usage-sign"]);
    succeeds(&mut import);
    let error = fixture.open().key("loose").expect_err("refused");
    assert_eq!(error.class, ErrorClass::Operator);
    assert!(error.what.contains("`loose` is extractable"), "{error}");
}

#[test]
fn a_wrong_pin_is_an_error_and_the_right_one_works_after_it() {
    let fixture = Fixture::new();
    fixture.create();
    let token = Token::open(&fixture.config()).expect("opens");
    assert!(matches!(token.login(&pin("654321")), Err(LoginError::WrongPin)));
    assert_eq!(token.key("key").expect_err("nobody is logged in").class, ErrorClass::Operator);
    token.login(&pin(PIN)).expect("logs in");
    assert!(matches!(token.login(&pin("")), Err(LoginError::WrongPin)));
    assert_eq!(token.key("key").expect_err("the failed login ended the one before").class, ErrorClass::Operator);
}

#[test]
fn after_a_logout_nothing_is_signed_and_after_a_login_it_is() {
    let fixture = Fixture::new();
    let (token, key) = fixture.token_and_key();
    for _ in 0..3 {
        token.sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE).expect("signs");
        token.logout();
        let error = token.sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE).expect_err("is logged out");
        assert_eq!(error.class, ErrorClass::Operator);
        token.login(&pin(PIN)).expect("logs in");
    }
    token.sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE).expect("signs");
}

#[test]
fn one_process_visits_several_token_directories_in_turn() {
    let mut fixture = Fixture::new();
    for name in ["root", "ca", "tls"] {
        let tokens = fixture.dir.path().join(name);
        fs::create_dir(&tokens).expect("creates");
        let conf = fixture.dir.path().join(format!("{name}.conf"));
        fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).expect("writes");
        fixture.environment.insert("SOFTHSM2_CONF".to_owned(), conf.display().to_string());
        let label = format!("signet-{name}");
        let uri = format!("pkcs11:token={label}");
        create_token(&fixture.config(), &pin(SO_PIN), &pin(PIN), &label).expect("makes a token");
        let token = Token::open(&TokenConfig { uri: &uri, ..fixture.config() }).expect("opens");
        token.login(&pin(PIN)).expect("logs in");
        let key = token.generate(name, KeyAlgorithm::P256, 256).expect("generates");
        token.sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE).expect("signs");
    }
}

#[test]
fn a_token_is_made_once() {
    let fixture = Fixture::new();
    let (token, key) = fixture.token_and_key();
    drop(token);
    let error = create_token(&fixture.config(), &pin(SO_PIN), &pin("999999"), LABEL).expect_err("refused");
    assert_eq!(error.class, ErrorClass::Operator);
    assert_eq!(fixture.open().key("key").expect("is there").public, key.public);
}

#[test]
fn a_label_that_no_token_can_have_is_refused() {
    let fixture = Fixture::new();
    for label in ["", "a label that is longer than thirty-two octets"] {
        let error = create_token(&fixture.config(), &pin(SO_PIN), &pin(PIN), label).expect_err("refused");
        assert_eq!(error.class, ErrorClass::Operator);
    }
}

#[test]
fn a_token_that_is_not_there_is_named_with_those_that_are() {
    let fixture = Fixture::new();
    fixture.create();
    let config = TokenConfig { uri: "pkcs11:token=other", ..fixture.config() };
    let error = Token::open(&config).err().expect("is not found");
    assert_eq!(error.class, ErrorClass::Restart);
    assert!(error.what.contains(LABEL), "{error}");
    let config = TokenConfig { uri: "pkcs11:token=signet-test;object=key", ..fixture.config() };
    assert_eq!(Token::open(&config).err().expect("names an object").class, ErrorClass::Operator);
}

#[test]
fn a_token_that_appears_late_is_found() {
    let fixture = Fixture::new();
    fixture.create();
    let away = fixture.dir.path().join("away");
    fs::rename(fixture.tokens(), &away).expect("moves away");
    let tokens = fixture.tokens();
    let back = thread::spawn(move || {
        thread::sleep(std::time::Duration::from_millis(400));
        fs::rename(&away, &tokens).expect("moves back");
    });
    fixture.open();
    back.join().expect("moved");
}

#[test]
fn a_library_that_is_no_module_is_refused() {
    let fixture = Fixture::new();
    for module in ["/nowhere/module.so", "/proc/self/exe"] {
        let config = TokenConfig { module: module.as_ref(), ..fixture.config() };
        assert_eq!(Token::open(&config).err().expect("refused").class, ErrorClass::Operator, "{module}");
    }
}

#[test]
fn the_reserved_string_reaches_the_module() {
    let fixture = Fixture::new();
    fixture.create();
    // SoftHSM takes none, and says so; a module that takes one would read it.
    let config = TokenConfig { arguments: Some("configdir='/nowhere'"), ..fixture.config() };
    let error = Token::open(&config).err().expect("refused");
    assert!(error.what.contains("CKR_ARGUMENTS_BAD"), "{error}");
    let config = TokenConfig { arguments: Some("a\0b"), ..fixture.config() };
    assert_eq!(Token::open(&config).err().expect("refused").class, ErrorClass::Operator);
}

#[test]
fn a_token_directory_that_vanished_calls_for_a_fresh_start_which_then_signs() {
    let fixture = Fixture::new();
    let (token, key) = fixture.token_and_key();
    token.sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE).expect("signs");
    let away = fixture.dir.path().join("away");
    fs::rename(fixture.tokens(), &away).expect("moves away");
    let error = token.sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE).expect_err("the token is gone");
    assert_eq!(error.class, ErrorClass::Restart, "{error}");
    fs::rename(&away, fixture.tokens()).expect("moves back");
    // In this process the module may or may not find its feet again, but it asks for no human.
    if let Err(error) = token.sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE) {
        assert_eq!(error.class, ErrorClass::Restart, "{error}");
    }
    drop(token);
    fixture.open().sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE).expect("signs again");
}

#[test]
fn a_token_that_was_initialised_again_signs_nothing_and_calls_for_a_fresh_start() {
    let fixture = Fixture::new();
    let (token, key) = fixture.token_and_key();
    fixture.softhsm2_util(&["--init-token", "--token", LABEL, "--label", LABEL, "--so-pin", SO_PIN, "--pin", PIN]);
    let error = token.sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE).expect_err("the key is gone");
    assert_eq!(error.class, ErrorClass::Restart, "{error}");
    drop(token);
    let error = fixture.open().key("key").expect_err("the key is gone");
    assert_eq!(error.class, ErrorClass::Operator, "{error}");
}

#[test]
fn sixty_four_threads_share_four_sessions() {
    let fixture = Fixture::with_faults();
    let (token, key) = fixture.token_and_key();
    fixture.fault("");
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..4 {
                    token.sign(&key, SignatureScheme::EcdsaP256Sha256, MESSAGE).expect("signs");
                }
            });
        }
    });
    assert!(fixture.calls("C_OpenSession") <= fixture.sessions, "{}", fixture.calls("C_OpenSession"));
    assert_eq!(fixture.calls("C_Sign"), 2 * 64 * 4);
    assert_eq!(fixture.calls("C_Login"), 0);
}
