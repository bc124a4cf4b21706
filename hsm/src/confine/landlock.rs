//! Landlock: the part of the file system, and of the network, that stays in reach.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Network, Rules};

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

/// Restricts the calling thread and those it will start. Returns a sentence for what this kernel
/// does not know; that is for the administrator to read, not a reason to refuse service.
pub(super) fn restrict(rules: &Rules) -> Result<Option<String>, RulesetError> {
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

    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => None,
        (RulesetStatus::PartiallyEnforced, _) => {
            Some("Landlock of this kernel knows only a part of the rules: Linux 6.12 or later knows all".to_owned())
        }
        (RulesetStatus::NotEnforced, LandlockStatus::NotEnabled) => Some(
            "Landlock is switched off on this host, so files are not fenced: add `landlock` to the kernel's `lsm=`"
                .to_owned(),
        ),
        (RulesetStatus::NotEnforced, _) => {
            Some("this kernel has no Landlock, so files are not fenced: Linux 5.13 or later has it".to_owned())
        }
    })
}
