//! Landlock: the part of the file system, and of the network, that stays in reach.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Measure, Network, Rules};

/// The rules that were tried; an older kernel takes those of them that it knows.
const TRIED: ABI = ABI::V6;

/// What every program of ours needs to run: libraries, name service, the time zone, the words for
/// errors, the generator, and what the C library asks of itself.
const COMMON: &[&str] = &[
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/ssl",
    "/dev/null",
    "/dev/urandom",
    "/dev/random",
    "/proc/self",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
];

/// What names and addresses need besides.
const NETWORK: &[&str] =
    &["/etc/gai.conf", "/etc/host.conf", "/etc/hosts", "/etc/protocols", "/etc/resolv.conf", "/etc/services"];

/// Restricts the calling thread and those it will start, by as many of the rules as this kernel
/// knows; which those are is in the measure. A kernel that knows none does not restrict.
pub(super) fn restrict(rules: &Rules) -> Result<Measure, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(TRIED))?
        .scope(Scope::from_all(TRIED))?;
    let network = match rules.network {
        Network::Allowed => NETWORK,
        Network::Refused => {
            ruleset = ruleset.handle_access(AccessNet::from_all(TRIED))?;
            &[]
        }
    };
    // Nothing of ours starts a program, so that nobody else shall through us.
    let read = AccessFs::from_read(TRIED) & !AccessFs::Execute;
    let write = AccessFs::from_all(TRIED)
        & !(AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeChar | AccessFs::IoctlDev);
    let status = ruleset
        .create()?
        .add_rules(path_beneath_rules(COMMON.iter().chain(network), read))?
        .add_rules(path_beneath_rules(["/dev/null"], read | AccessFs::WriteFile))?
        .add_rules(path_beneath_rules(&rules.read, read))?
        .add_rules(path_beneath_rules(&rules.write, write))?
        .restrict_self()?;

    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as i32,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    };
    let most = TRIED as i32;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => Measure::new("landlock", true, format!("all rules of ABI {most}")),
        (RulesetStatus::PartiallyEnforced, _) => Measure::new(
            "landlock",
            true,
            format!("those rules of ABI {most} that ABI {abi} has{}: Linux 6.12 or later has all", missing(abi)),
        ),
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => Measure::new(
            "landlock",
            false,
            "Landlock is switched off on this host, so files are not fenced: add `landlock` to the kernel's `lsm=`",
        ),
        (RulesetStatus::NotEnforced, _) => Measure::new(
            "landlock",
            false,
            "this kernel has no Landlock, so files are not fenced: Linux 5.13 or later has it",
        ),
    })
}

/// What a kernel of this ABI cannot fence.
fn missing(abi: i32) -> String {
    let all =
        [(2, "renaming between directories"), (3, "truncation"), (4, "TCP"), (5, "ioctl on devices"), (6, "signals")];
    let lacking: Vec<&str> = all.into_iter().filter(|(since, _)| abi < *since).map(|(_, what)| what).collect();
    if lacking.is_empty() { String::new() } else { format!(" (not {})", lacking.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_kernel_cannot_fence_is_said() {
        assert_eq!(missing(6), "");
        assert_eq!(missing(4), " (not ioctl on devices, signals)");
        assert!(missing(1).starts_with(" (not renaming between directories, truncation, TCP"));
    }
}
