//! Keeping secrets off swap devices.

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::Measure;

/// Locks every page of the process, now and from now on, so that the module's copies of secrets are
/// locked too; pages that are never touched cost nothing. Where the limit is in the way, a host or a
/// unit without swap is as good. To be called before capabilities are given up.
pub(super) fn lock() -> Measure {
    let raised = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_ok();
    let unlimited = getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    let on_fault = MlockAllFlags::from_bits_retain(nix::libc::MCL_ONFAULT);
    let flags = MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault;
    let why = match (raised || unlimited).then(|| mlockall(flags)) {
        Some(Ok(())) => return Measure::new("memory", true, "all of it is locked"),
        Some(Err(errno)) => format!("memory cannot be locked ({errno})"),
        None => "memory cannot be locked".to_owned(),
    };
    if no_swap_on_host() {
        Measure::new("memory", true, "there is no swap on this host")
    } else if no_swap_in_unit() {
        Measure::new("memory", true, "its unit may not use swap (MemorySwapMax=0)")
    } else {
        let detail = format!("{why}, and this host has swap: set LimitMEMLOCK=infinity or MemorySwapMax=0 in its unit");
        Measure::new("memory", false, detail)
    }
}

/// The first line of /proc/swaps is a heading; a unit with ProcSubset=pid does not see the file.
fn no_swap_on_host() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() == 1)
}

fn no_swap_in_unit() -> bool {
    let Ok(text) = std::fs::read_to_string("/proc/self/cgroup") else { return false };
    let Some(group) = text.lines().find_map(|line| line.strip_prefix("0::")) else { return false };
    std::fs::read_to_string(format!("/sys/fs/cgroup{group}/memory.swap.max")).is_ok_and(|most| most.trim() == "0")
}
