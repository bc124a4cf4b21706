//! A machine of its own for the packages: a booted systemd in a container, on a throw-away overlay over a Debian tree
//! that `tools/setup boot` keeps in `target/booted`.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::dns;
use crate::wait::wait_for;

/// Longest wait for a boot, a shutdown, or a condition in the guest: generous, the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A guest's disk: what was written to it over the tree. It outlives a boot.
pub struct Disk(tempfile::TempDir);

/// A booted guest. Dropping it is pulling the plug.
pub struct Guest {
    nspawn: Child,
    leader: Pid,
}

/// What a command in the guest said.
#[derive(Debug)]
pub struct Said {
    /// Exit code; -1 after a signal.
    pub code: i32,
    /// Standard output and standard error, one after the other.
    pub text: String,
}

/// Why no guest can be booted here, if none can.
pub fn unavailable() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("booting a guest needs root".to_owned());
    }
    for program in ["systemd-nspawn", "nsenter", "unshare"] {
        if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err() {
            return Some(format!("{program} is not installed (tools/setup boot)"));
        }
    }
    let tree = tree();
    (!tree.is_dir()).then(|| format!("there is no Debian tree in {} (tools/setup boot)", tree.display()))
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/booted")
}

fn tree() -> PathBuf {
    directory().join("tree")
}

impl Disk {
    /// An empty one: the tree as it is.
    pub fn new() -> io::Result<Self> {
        let place = tempfile::Builder::new().prefix("disk-").tempdir_in(directory())?;
        for name in ["upper", "work", "merged"] {
            fs::create_dir(place.path().join(name))?;
        }
        Ok(Self(place))
    }

    /// Runs a program of the host on the disk, which lies at `$DISK`, while no guest runs on it.
    pub fn offline(&self, script: &str) -> io::Result<Said> {
        self.command(script).output().map(Said::from)
    }

    /// Boots.
    pub fn boot(&self) -> Result<Guest, String> {
        // The keyring, BPF and mlock are what units' sandboxes need; without bpf, IPAddressDeny= fails silently.
        let nspawn = "exec systemd-nspawn --quiet --boot --directory=\"$DISK\" --private-network --register=no --keep-unit \
                      --console=pipe --capability=all --system-call-filter=bpf --system-call-filter=mlock \
                      --system-call-filter=mlock2 --system-call-filter=mlockall --system-call-filter=@keyring";
        let log = File::create(self.0.path().join("console")).map_err(|error| error.to_string())?;
        let mut command = self.command(&format!(
            "umount -R /sys/fs/cgroup 2>/dev/null || true\nmount -t cgroup2 cgroup2 /sys/fs/cgroup\n{nspawn}"
        ));
        command.stdin(Stdio::null()).stderr(log.try_clone().map_err(|error| error.to_string())?).stdout(log);
        let mut nspawn = command.spawn().map_err(|error| error.to_string())?;
        let leader = wait_for("the guest's first process", PATIENCE, || leader(nspawn.id()));
        let leader = match leader {
            Ok(leader) => leader,
            Err(why) => {
                let _ = nspawn.kill();
                return Err(format!("{why}: {}", self.console()));
            }
        };
        let guest = Guest { nspawn, leader };
        let booted = || {
            let said = guest.run("systemctl is-system-running").text;
            ["running", "degraded"].contains(&said.trim()).then_some(())
        };
        wait_for("the guest's boot", PATIENCE, booted).map_err(|why| format!("{why}: {}", self.console()))?;
        Ok(guest)
    }

    fn console(&self) -> String {
        fs::read_to_string(self.0.path().join("console")).unwrap_or_default()
    }

    /// A shell in a mount namespace of its own, with the disk at `$DISK`.
    fn command(&self, script: &str) -> Command {
        let place = self.0.path();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
        command.arg(format!(
            "mount -t overlay overlay -o \"lowerdir=$TREE,upperdir=$UPPER,workdir=$WORK\" \"$DISK\"\n{script}"
        ));
        command.env("TREE", tree().canonicalize().unwrap_or_else(|_| tree()));
        for (name, folder) in [("UPPER", "upper"), ("WORK", "work"), ("DISK", "merged")] {
            command.env(name, place.join(folder));
        }
        command
    }
}

/// The first process of the guest: the one child of nspawn that is an init.
fn leader(nspawn: u32) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children")).ok()?;
    children.split_whitespace().find_map(|child| {
        let comm = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
        (comm.trim() == "systemd").then(|| child.parse().ok().map(Pid::from_raw)).flatten()
    })
}

impl Guest {
    /// Runs a shell script in the guest.
    pub fn run(&self, script: &str) -> Said {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.leader.to_string(), "--all", "--wdns=/root", "--"]);
        command.args([
            "env",
            "-i",
            "HOME=/root",
            "LC_ALL=C.UTF-8",
            "PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin",
        ]);
        command.args(["sh", "-c", script]).stdin(Stdio::null());
        command.output().map(Said::from).unwrap_or_else(|error| Said { code: -1, text: error.to_string() })
    }

    /// The same, and it must end well.
    pub fn must(&self, script: &str) -> String {
        let said = self.run(script);
        assert_eq!(said.code, 0, "{script}\n{}\n{}", said.text, self.run("journalctl --no-pager -n 40").text);
        said.text
    }

    /// Waits until a script ends well, and gives what it said.
    pub fn until(&self, what: &str, script: &str) -> String {
        let well = || {
            let said = self.run(script);
            (said.code == 0).then_some(said.text)
        };
        wait_for(what, PATIENCE, well).unwrap_or_else(|why| {
            panic!("{why}\n{}\n{}", self.run(script).text, self.run("journalctl --no-pager -n 60").text)
        })
    }

    /// Starts a script that goes on in the background; it ends with the guest.
    pub fn start(&self, script: &str) {
        self.must(&format!("systemd-run --quiet --collect sh -c '{script}'"));
    }

    /// A program of the host in the guest's network.
    pub fn client(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.leader.to_string(), "--net", "--"]).arg(program);
        command
    }

    /// A DNS server in the guest's network, by which every name is at 127.0.0.1. It ends with this process.
    pub fn serve_dns(&self, address: SocketAddr) -> Result<(), String> {
        let namespace = format!("/proc/{}/ns/net", self.leader);
        let bound = std::thread::spawn(move || -> io::Result<(UdpSocket, TcpListener)> {
            // Of this thread alone, which ends.
            setns(File::open(namespace)?, CloneFlags::CLONE_NEWNET)?;
            dns::bind(address)
        });
        let (udp, tcp) =
            bound.join().map_err(|_| "the thread panicked".to_owned())?.map_err(|error| error.to_string())?;
        dns::serve(dns::Source::File(PathBuf::from("/nonexistent")), udp, tcp);
        Ok(())
    }

    /// Copies a file of the host into the guest.
    pub fn bring(&self, file: &Path, to: &str) {
        let to = PathBuf::from(format!("/proc/{}/root{to}", self.leader));
        fs::copy(file, &to).unwrap_or_else(|error| panic!("{} to {}: {error}", file.display(), to.display()));
    }

    /// A file of the guest, for a program of the host.
    pub fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.leader))
    }

    /// Shuts the guest down in order.
    pub fn power_off(mut self) -> Result<(), String> {
        self.run("systemctl --no-block poweroff");
        wait_for("the guest's shutdown", PATIENCE, || self.nspawn.try_wait().ok().flatten()).map(drop)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Ok(None) = self.nspawn.try_wait() {
            // Init of a namespace: its end is the end of all in it.
            let _ = kill(self.leader, Signal::SIGKILL);
            let _ = self.nspawn.wait();
        }
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), text: text(&output.stdout) + &text(&output.stderr) }
    }
}
