use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, pipe};

use super::filter::{Lists, ORDER};
use super::*;

/// Runs `probe` in a child of its own, which has one thread, and returns what it reports.
pub(super) fn in_child(probe: impl FnOnce() -> String) -> String {
    let (read, write) = pipe().unwrap();
    // SAFETY: the child runs `probe`, which allocates; glibc keeps its allocator usable across
    // fork. It touches no lock of the test harness and leaves by _exit.
    #[allow(unsafe_code, reason = "a confined process is a process of its own")]
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop(read);
            let report = std::panic::catch_unwind(std::panic::AssertUnwindSafe(probe))
                .unwrap_or_else(|_| "the probe panicked".to_owned());
            let _ = std::fs::File::from(write).write_all(report.as_bytes());
            // SAFETY: _exit ends the child without running anything of the parent's.
            #[allow(unsafe_code, reason = "see above")]
            unsafe {
                nix::libc::_exit(0)
            }
        }
        ForkResult::Parent { child } => {
            drop(write);
            let mut report = String::new();
            std::fs::File::from(read).read_to_string(&mut report).unwrap();
            assert!(matches!(waitpid(child, None).unwrap(), WaitStatus::Exited(_, 0)), "{report}");
            report
        }
    }
}

/// Whatever the host that runs the tests lacks, and whoever runs them.
const WAIVED: [Waiver; 3] = [Waiver::Landlock, Waiver::Memory, Waiver::User];

pub(super) fn rules() -> Rules {
    let (network, secrets) = (Network::Refused, Secrets::Held);
    Rules { user: None, read: vec![], write: vec![], network, secrets, waived: WAIVED.to_vec() }
}

pub(super) fn calls() -> Calls {
    Calls { more: vec![], sockets: Network::Refused, waived: vec![] }
}

fn status_line(status: &str, name: &str) -> String {
    let line = status.lines().find(|line| line.split(':').next() == Some(name));
    line.and_then(|line| line.split_whitespace().nth(1)).unwrap_or("absent").to_owned()
}

fn is_root() -> bool {
    geteuid().is_root()
}

#[test]
fn a_confined_process_has_nothing_left() {
    let report = in_child(|| {
        // Another test may have installed one on the process that this one was forked from.
        let before = std::fs::read_to_string("/proc/self/status").unwrap();
        let before: u32 = status_line(&before, "Seccomp_filters").parse().unwrap();
        process(&rules()).unwrap();
        let (core, _) = nix::sys::resource::getrlimit(Resource::RLIMIT_CORE).unwrap();
        let dumpable = nix::sys::prctl::get_dumpable().unwrap();
        seccomp(Program::Signer, &calls()).unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let filters: u32 = status_line(&status, "Seccomp_filters").parse().unwrap();
        format!("{status}Dumpable:\t{dumpable}\nCore:\t{core}\nAdded:\t{}\n", filters - before)
    });
    assert_eq!(status_line(&report, "NoNewPrivs"), "1");
    assert_eq!(status_line(&report, "Seccomp"), "2");
    assert_eq!(status_line(&report, "Added"), "3");
    assert_eq!(status_line(&report, "Dumpable"), "false");
    assert_eq!(status_line(&report, "Core"), "0");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status_line(&report, set), "0000000000000000", "{set}");
    }
    if is_root() {
        assert_eq!(status_line(&report, "CapBnd"), "0000000000000000");
    }
}

#[test]
fn root_becomes_the_named_user_and_cannot_go_back() {
    if !is_root() {
        return;
    }
    let report = in_child(|| {
        process(&Rules { user: Some("nobody".into()), ..rules() }).unwrap();
        std::fs::read_to_string("/proc/self/status").unwrap()
    });
    let nobody = User::from_name("nobody").unwrap().unwrap();
    assert_eq!(status_line(&report, "Uid"), nobody.uid.to_string());
    assert_eq!(status_line(&report, "Gid"), nobody.gid.to_string());
    assert_eq!(status_line(&report, "CapBnd"), "0000000000000000");
}

#[test]
fn a_user_that_does_not_exist_is_refused_with_a_sentence() {
    let report = in_child(|| process(&Rules { user: Some("no-such-user".into()), ..rules() }).unwrap_err().to_string());
    assert!(report.contains("no-such-user") && report.contains("create it"), "{report}");
}

#[test]
fn a_process_with_threads_is_refused() {
    let report = in_child(|| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || stopped.recv());
        let report = process(&rules()).unwrap_err().to_string();
        drop(stop);
        let _ = thread.join();
        report
    });
    assert!(report.contains("2 threads"), "{report}");
}

#[test]
fn a_socket_in_the_signer_is_an_error_and_not_a_kill() {
    let report = in_child(|| {
        let before = UnixDatagram::unbound().is_ok();
        seccomp(Program::Signer, &calls()).unwrap();
        let socket = UnixDatagram::unbound().unwrap_err().raw_os_error();
        format!("{before} {socket:?}")
    });
    assert_eq!(report, format!("true Some({})", nix::libc::EPERM));
}

#[test]
fn the_filter_reaches_threads_that_run_already() {
    let report = in_child(|| {
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = gone.recv();
            UnixDatagram::unbound().is_err()
        });
        seccomp(Program::Signer, &calls()).unwrap();
        drop(go);
        thread.join().unwrap().to_string()
    });
    assert_eq!(report, "true");
}

#[test]
fn a_call_outside_the_list_is_logged_and_done_where_the_list_is_waived() {
    let report = in_child(|| {
        let measure = seccomp(Program::Signetd, &Calls { waived: vec![Waiver::Seccomp], ..calls() }).unwrap();
        assert!(!measure.in_force);
        // Not in the list, and harmless on a path that does not exist.
        format!("{}", nix::unistd::chroot("/nonexistent").unwrap_err())
    });
    assert!(report.starts_with("ENOENT") || report.starts_with("EPERM"), "{report}");
}

/// Landlock is missing on some hosts; there the sentence says so, and the fence is not tested.
#[test]
fn files_and_ports_outside_the_rules_are_out_of_reach() {
    let inside = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let readable = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("f"), "x").unwrap();
    std::fs::write(readable.path().join("f"), "x").unwrap();
    let report = in_child(|| {
        let rules = Rules {
            write: vec![inside.path().into()],
            read: vec![readable.path().into(), "/no/such".into()],
            ..rules()
        };
        let measures = process(&rules).unwrap();
        format!(
            "{} {} {} {} {} {} {}",
            std::fs::write(inside.path().join("f"), "x").is_ok(),
            std::fs::rename(inside.path().join("f"), inside.path().join("g")).is_ok(),
            std::fs::read(readable.path().join("f")).is_ok(),
            std::fs::write(readable.path().join("f"), "x").is_ok(),
            std::fs::read(outside.path().join("f")).is_ok(),
            TcpListener::bind("127.0.0.1:0").is_ok(),
            measures.iter().filter(|measure| measure.name == "landlock" && !measure.in_force).count(),
        )
    });
    if report.ends_with('0') {
        assert_eq!(report, "true true true false false false 0");
    } else {
        assert!(report.starts_with("true true true"), "{report}");
        // Past the capture of output: `make test` counts these lines.
        let _ = writeln!(std::io::stderr(), "skipped: this kernel has no Landlock, so the fence was not tested");
    }
}

#[test]
fn the_lists_compile_for_every_architecture_that_is_shipped() {
    for program in [Program::Signer, Program::Signetd] {
        for arch in ["x86_64", "aarch64"] {
            let lists = Lists::of(program, &calls(), arch).and_then(|lists| lists.compile());
            let filters = lists.unwrap_or_else(|error| panic!("{program:?} {arch}: {error}"));
            assert!(filters.len() >= 2);
        }
    }
}

#[test]
fn a_list_names_its_calls_in_order_and_no_filter_is_forgotten() {
    for program in [Program::Signer, Program::Signetd] {
        let file: serde_json::Value = serde_json::from_str(program.text()).unwrap();
        for (name, filter) in file.as_object().unwrap() {
            assert!(ORDER.contains(&name.as_str()), "{name}");
            let calls: Vec<&str> =
                filter["filter"].as_array().unwrap().iter().map(|rule| rule["syscall"].as_str().unwrap()).collect();
            assert!(calls.is_sorted(), "{program:?} {name}: {calls:?}");
        }
    }
}

#[test]
fn a_module_can_be_given_more_calls_and_a_network() {
    let more = Calls { more: vec!["sysinfo".into(), "prctl".into()], sockets: Network::Allowed, waived: vec![] };
    let lists = Lists::of(Program::Signer, &more, "x86_64").unwrap();
    assert!(lists.compile().is_ok() && lists.rules("refuse").is_empty());
    let prctl: Vec<_> = lists.rules("allow").iter().filter(|rule| rule["syscall"] == "prctl").collect();
    assert_eq!(prctl, [&serde_json::json!({"syscall": "prctl"})]);
    let unknown = Calls { more: vec!["sistema".into()], ..calls() };
    assert!(compiles(Program::Signer, &unknown).unwrap_err().to_string().contains("sistema"));
}
