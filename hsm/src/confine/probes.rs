//! Every rule is proved by making the call: under the real filter the call that it allows passes and
//! its twin dies. The twin of a rule about arguments has other arguments; the twin of a rule about
//! none is the same call under the same filter without that rule.

use std::io::Write as _;

use nix::libc;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use seccompiler::{BpfProgram, apply_filter};
use serde_json::{Value, json};

use super::filter::Lists;
use super::tests::{calls, in_child, rules};
use super::*;

/// What became of the process that made a call.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The filter ended it.
    Killed,
    /// The call was made; with this errno, or 0, unless it ended the process itself.
    Made(i32),
}

/// Makes one call in a process of its own, under `filters`.
fn probe(filters: &[BpfProgram], number: i64, arguments: [u64; 6]) -> End {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: between fork and _exit the child makes system calls only, and touches no memory of the
    // harness: every pointer among the arguments is invalid, and the kernel refuses it.
    #[allow(unsafe_code, reason = "a call that a filter judges is made in a process of its own, and raw")]
    let child = unsafe {
        match fork().unwrap() {
            ForkResult::Child => {
                let installed = filters.iter().all(|filter| apply_filter(filter).is_ok());
                let result = if installed { libc::syscall(number, a, b, c, d, e, f) } else { libc::_exit(255) };
                libc::_exit(if result == -1 { *libc::__errno_location() } else { 0 })
            }
            ForkResult::Parent { child } => child,
        }
    };
    match waitpid(child, None).unwrap() {
        WaitStatus::Signaled(_, Signal::SIGSYS, _) => End::Killed,
        WaitStatus::Exited(_, code) => End::Made(code),
        // rt_sigreturn without a signal's frame, and memory that is no more.
        WaitStatus::Signaled(_, Signal::SIGBUS | Signal::SIGSEGV, _) => End::Made(0),
        other => panic!("{other:?}"),
    }
}

/// The number that the kernel knows a call by: what a filter with that one rule compares with.
fn number(call: &str) -> i64 {
    let file = json!({"allow": {
        "mismatch_action": "kill_process", "match_action": "allow", "filter": [{"syscall": call}]
    }});
    let mut lists = Lists::of(Program::Signer, &calls(), std::env::consts::ARCH).unwrap();
    lists.file = file;
    let filter = lists.compile().unwrap().remove(0);
    // seccomp_data begins with the number: what is loaded from there is compared next.
    let load = filter.iter().position(|step| step.code == 0x20 && step.k == 0).unwrap();
    i64::from(filter[load + 1].k)
}

fn conditions(rule: &Value) -> &[Value] {
    rule["args"].as_array().map_or(&[], Vec::as_slice)
}

/// Which bits a condition looks at, and what they must be.
fn wanted(condition: &Value) -> (usize, u64, u64) {
    let mask = match condition["op"].as_str() {
        Some("eq") => u64::MAX,
        _ => condition["op"]["masked_eq"].as_u64().unwrap(),
    };
    (condition["index"].as_u64().unwrap() as usize, mask, condition["val"].as_u64().unwrap())
}

fn allows(rule: &Value, arguments: &[u64; 6]) -> bool {
    conditions(rule).iter().map(wanted).all(|(index, mask, value)| arguments[index] & mask == value)
}

/// Arguments that no call can use, but for those that the rule wants.
fn allowed(rule: &Value) -> [u64; 6] {
    let mut arguments = [u64::MAX; 6];
    for (index, _, value) in conditions(rule).iter().map(wanted) {
        arguments[index] = value;
    }
    arguments
}

/// For each condition, arguments that differ from `good` in one bit of it and that no rule allows.
fn twins(rule: &Value, good: [u64; 6], others: &[&Value]) -> Vec<[u64; 6]> {
    let twin = |(index, mask, value): (usize, u64, u64)| {
        let changed = (0..31).filter(|bit| mask >> bit & 1 == 1).map(|bit| {
            let mut arguments = good;
            arguments[index] = value ^ (1 << bit);
            arguments
        });
        changed.into_iter().find(|arguments| !others.iter().any(|other| allows(other, arguments))).unwrap()
    };
    conditions(rule).iter().map(wanted).map(twin).collect()
}

#[test]
fn every_rule_lets_its_call_pass_and_its_twin_die() {
    for program in [Program::Signer, Program::Signetd] {
        let lists = Lists::of(program, &calls(), std::env::consts::ARCH).unwrap();
        let real = lists.compile().unwrap();
        let all = lists.rules("allow");
        let (mut proved, mut names) = (0, std::collections::BTreeSet::new());
        for rule in all {
            let call = rule["syscall"].as_str().unwrap();
            let number = number(call);
            let same: Vec<&Value> = all.iter().filter(|other| other["syscall"] == call).collect();
            let good = allowed(rule);
            let end = probe(&real, number, good);
            assert_ne!(end, End::Killed, "{program:?} {rule}: the allowed call dies");
            for (filter, errno) in [("absent", libc::ENOSYS), ("refuse", libc::EPERM)] {
                if lists.rules(filter).iter().any(|rule| rule["syscall"] == call) {
                    assert_eq!(end, End::Made(errno), "{program:?} {rule}");
                }
            }
            for twin in twins(rule, good, &same) {
                assert_eq!(probe(&real, number, twin), End::Killed, "{program:?} {rule}: the twin {twin:x?} lives");
            }
            if conditions(rule).is_empty() {
                let mut without = Lists::of(program, &calls(), std::env::consts::ARCH).unwrap();
                for filter in ["absent", "refuse", "allow"] {
                    if let Some(rules) = without.file[filter]["filter"].as_array_mut() {
                        rules.retain(|other| other["syscall"] != call);
                    }
                }
                let end = probe(&without.compile().unwrap(), number, good);
                assert_eq!(end, End::Killed, "{program:?} {rule}: the call does not need its rule");
            }
            proved += 1;
            names.insert(call);
        }
        // Past the capture of output: a figure for the reader of `make test`.
        let (names, all) = (names.len(), all.len());
        let _ = writeln!(std::io::stderr(), "seccomp: {program:?}: {proved} of {all} rules proved, {names} calls");
    }
}

/// What an attacker would do next, and how it ends for him.
const FORBIDDEN: [&str; 26] = [
    "bpf",
    "chroot",
    "delete_module",
    "execve",
    "execveat",
    "fanotify_init",
    "init_module",
    "io_uring_setup",
    "kexec_load",
    "keyctl",
    "kill",
    "mount",
    "open_by_handle_at",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "ptrace",
    "reboot",
    "seccomp",
    "setns",
    "setuid",
    "shmat",
    "unshare",
    "userfaultfd",
];

#[test]
fn what_an_attacker_would_do_next_ends_the_process() {
    for program in [Program::Signer, Program::Signetd] {
        let real = Lists::of(program, &calls(), std::env::consts::ARCH).unwrap().compile().unwrap();
        for call in FORBIDDEN {
            assert_eq!(probe(&real, number(call), [u64::MAX; 6]), End::Killed, "{program:?}: {call}");
        }
        let packets = [libc::AF_PACKET as u64, libc::SOCK_RAW as u64, 0, 0, 0, 0];
        let how = match probe(&real, number("socket"), packets) {
            End::Killed => "ends the process",
            End::Made(libc::EPERM) => "EPERM",
            other => panic!("{program:?}: a packet socket: {other:?}"),
        };
        let acts = FORBIDDEN.join(", ");
        let _ =
            writeln!(std::io::stderr(), "forbidden: {program:?}: ends the process: {acts}; socket(AF_PACKET): {how}");
    }
}

/// By the user that the process became, and by Landlock where the kernel has it.
#[test]
fn files_of_others_are_out_of_reach() {
    if !geteuid().is_root() {
        return;
    }
    let inside = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let nobody = User::from_name("nobody").unwrap().unwrap();
    nix::unistd::chown(inside.path(), Some(nobody.uid), Some(nobody.gid)).unwrap();
    let report = in_child(|| {
        process(&Rules { user: Some("nobody".into()), write: vec![inside.path().into()], ..rules() }).unwrap();
        seccomp(Program::Signer, &calls()).unwrap();
        let word =
            |result: std::io::Result<()>| result.map_or_else(|error| error.kind().to_string(), |()| "done".into());
        let shadow = word(std::fs::read("/etc/shadow").map(drop));
        let elsewhere = word(std::fs::write(outside.path().join("f"), "x"));
        let state = word(std::fs::write(inside.path().join("f"), "x"));
        format!("/etc/shadow: {shadow}; outside the state directory: {elsewhere}; inside: {state}")
    });
    let _ = writeln!(std::io::stderr(), "forbidden: {report}");
    assert_eq!(report, "/etc/shadow: permission denied; outside the state directory: permission denied; inside: done");
}
