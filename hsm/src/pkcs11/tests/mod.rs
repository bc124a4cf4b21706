//! Tests with SoftHSM tokens, plain and through the fault module.
//!
//! PKCS#11 is initialised once in a process, and SoftHSM finds its tokens by an environment
//! variable, so these tests run one at a time: a [`Fixture`] holds the turn.

mod faults;
mod token;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use policy::key::KeyAlgorithm;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{Pin, Token, TokenConfig, TokenKey, create_token};

const LABEL: &str = "signet-test";
const URI: &str = "pkcs11:token=signet-test";
const PIN: &str = "123456";
const SO_PIN: &str = "87654321";

/// Where the packages of Debian and Fedora put SoftHSM.
const SOFTHSM: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// An empty token directory, a module, and the turn to use them.
struct Fixture {
    _turn: MutexGuard<'static, ()>,
    dir: TempDir,
    module: PathBuf,
    environment: BTreeMap<String, String>,
    sessions: usize,
    deadline: Duration,
}

impl Fixture {
    /// SoftHSM itself.
    fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = TempDir::new().expect("a temporary directory");
        let tokens = dir.path().join("tokens");
        fs::create_dir(&tokens).expect("creates");
        let conf = dir.path().join("softhsm2.conf");
        fs::write(&conf, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).expect("writes");
        let environment = BTreeMap::from([("SOFTHSM2_CONF".to_owned(), conf.display().to_string())]);
        let deadline = Duration::from_secs(10);
        Self { _turn: turn, dir, module: softhsm(), environment, sessions: 4, deadline }
    }

    /// SoftHSM behind the fault module.
    fn with_faults() -> Self {
        let mut fixture = Self::new();
        let target = softhsm().display().to_string();
        fixture.environment.insert("FAULT_MODULE_TARGET".to_owned(), target);
        fixture.environment.insert("FAULT_MODULE_CONTROL".to_owned(), fixture.control().display().to_string());
        fixture.module = fault_module();
        fixture.fault("");
        fixture
    }

    fn config(&self) -> TokenConfig<'_> {
        TokenConfig {
            module: &self.module,
            arguments: None,
            environment: &self.environment,
            uri: URI,
            sessions: self.sessions,
            deadline: self.deadline,
        }
    }

    /// A new token, opened and logged in.
    fn token(&self) -> Token {
        self.create();
        self.open()
    }

    fn create(&self) {
        create_token(&self.config(), &pin(SO_PIN), &pin(PIN), LABEL).expect("makes a token");
    }

    fn open(&self) -> Token {
        let token = Token::open(&self.config()).expect("opens");
        token.login(&pin(PIN)).expect("logs in");
        token
    }

    /// A new token with one P-256 key.
    fn token_and_key(&self) -> (Token, TokenKey) {
        let token = self.token();
        let key = token.generate("key", KeyAlgorithm::P256, 256).expect("generates");
        (token, key)
    }

    fn tokens(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }

    fn control(&self) -> PathBuf {
        self.dir.path().join("faults")
    }

    /// What the fault module is to do from now on, and none of the calls counted that were made.
    fn fault(&self, lines: &str) {
        // The comment makes every file another one, and so every `once` good again.
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let next = self.dir.path().join("faults.next");
        fs::write(&next, format!("{lines}\n# {number}\n")).expect("writes");
        fs::rename(&next, self.control()).expect("renames");
        fs::write(self.dir.path().join("faults.log"), "").expect("writes");
    }

    /// How many calls of a function were made since the last [`Fixture::fault`].
    fn calls(&self, function: &str) -> usize {
        let log = fs::read_to_string(self.dir.path().join("faults.log")).expect("reads");
        log.lines().filter(|line| *line == function).count()
    }

    /// Runs softhsm2-util against this fixture's tokens, as another process would.
    fn softhsm2_util(&self, arguments: &[&str]) {
        succeeds(Command::new("softhsm2-util").args(arguments).envs(&self.environment));
    }
}

/// Runs a tool that these tests need. Debian has them in softhsm2, opensc and openssl.
fn succeeds(command: &mut Command) {
    let run =
        command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run, install its package: {error}"));
    assert!(run.status.success(), "{command:?}: {}", String::from_utf8_lossy(&run.stderr));
}

fn pin(text: &str) -> Pin {
    Pin(Zeroizing::new(text.as_bytes().to_vec()))
}

fn softhsm() -> PathBuf {
    let found = SOFTHSM.iter().map(Path::new).find(|path| path.exists());
    found
        .expect("SoftHSM is not installed: these tests sign in a real token, run `apt-get install softhsm2`")
        .to_owned()
}

/// Builds the fault module and finds it beside the test program.
fn fault_module() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let program = env::current_exe().expect("the test program has a path");
            let profile = program.parent().and_then(Path::parent).expect("it lies in target/PROFILE/deps");
            let module = profile.join("libfault_module.so");
            if let Some(cargo) = env::var_os("CARGO") {
                let mut build = Command::new(cargo);
                build.args(["build", "--quiet", "--package", "fault-module", "--target-dir"]);
                build.arg(profile.parent().expect("target"));
                if profile.ends_with("release") {
                    build.arg("--release");
                }
                build.current_dir(env!("CARGO_MANIFEST_DIR"));
                assert!(build.status().expect("runs cargo").success(), "the fault module does not build");
            }
            assert!(module.exists(), "{} is missing: run `cargo build --package fault-module`", module.display());
            module
        })
        .clone()
}

/// Waits until `condition` holds, and fails the test if that takes too long.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}: not within ten seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}
