//! Two machines joined by a cable, as two network namespaces of this process joined by a veth pair. No names and no
//! files: the namespaces end with the process.

use std::fs::File;
use std::future::Future;
use std::process::{Command, Output};
use std::time::Duration;

use lubdub::cluster::time::Instant;
use lubdub::config::{Address, GroupId, ResourceId};
use lubdub::wire::Mac;
use nix::sched::{CloneFlags, setns, unshare};

/// The service address under test, on the network of the cable.
pub(crate) const VIP: &str = "10.9.0.100";
/// The same for IPv6.
pub(crate) const VIP6: &str = "fd09::100";
/// Names the resource under test.
pub(crate) const RESOURCE: ResourceId = ResourceId { group: GroupId(0), index: 0 };
/// The cable's two ends.
pub(crate) const HERE: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub(crate) const THERE: Mac = Mac([2, 0, 0, 0, 0, 2]);
/// A machine that does not exist.
pub(crate) const NOBODY: &str = "02:00:00:00:00:99";

/// Set in the copy of this program that runs inside a user namespace.
const NESTED: &str = "LUBDUB_TEST_NESTED";

/// Runs a test with two joined machines, in a user namespace where this user may not make network namespaces.
pub(crate) fn with_pair<F: FnOnce(&Net, &Net) + Send>(body: F) {
    match Net::new() {
        Ok(here) => {
            let there = Net::new().expect("a second network namespace");
            join(&here, &there);
            body(&here, &there);
        }
        Err(error) if std::env::var_os(NESTED).is_some() => {
            panic!(
                "cannot make network namespaces, not even in a user namespace: {error}; \
                 run as root, or allow unprivileged user namespaces"
            )
        }
        Err(_) => run_nested::<F>(),
    }
}

/// Runs the one test whose body this is again, as root of a user namespace.
fn run_nested<F>() {
    let name = std::any::type_name::<F>();
    let name = name.trim_start_matches("net::").trim_end_matches("::{{closure}}");
    let me = std::env::current_exe().expect("this program's path");
    let output = command("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(me)
        .args(["--exact", name, "--nocapture"])
        .env(NESTED, "1")
        .output()
        .expect("`unshare` of util-linux");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{name} in a user namespace:\n{text}{errors}"
    );
}

fn join(here: &Net, there: &Net) {
    let other =
        format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&there.0));
    here.ip(&format!(
        "link add eth0 address {HERE} type veth peer name eth0 address {THERE} netns {other}"
    ));
    for (net, last) in [(here, 1), (there, 2)] {
        net.ip("link set lo up");
        // No link-local address but ours: the kernel's own would wait for duplicate address detection.
        net.ip("link set eth0 addrgenmode none");
        net.ip("link set eth0 up");
        net.ip(&format!("addr add 10.9.0.{last}/24 dev eth0"));
        net.ip(&format!("addr add fe80::{last}/64 dev eth0 nodad"));
        net.ip(&format!("addr add fd09::{last}/64 dev eth0 nodad"));
    }
    until("the cable has carrier", || here.ip("-o link show eth0").contains("LOWER_UP"));
}

/// A machine, as far as its network goes.
pub(crate) struct Net(File);

impl Net {
    fn new() -> nix::Result<Self> {
        std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET)?;
                Ok(Self(
                    File::open("/proc/thread-self/ns/net")
                        .expect("this thread's network namespace"),
                ))
            });
            made.join().expect("no panic")
        })
    }

    /// Runs something on this machine.
    pub(crate) fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("entering a namespace of our own");
                body()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs something that waits on this machine, on an event loop like the daemon's.
    pub(crate) fn run<T: Send>(&self, body: impl AsyncFnOnce(&Clock) -> T + Send) -> T {
        self.inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(body(&Clock::start()))
        })
    }

    /// Runs `ip` on this machine; it must succeed.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        let output = self.try_ip(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn try_ip(&self, arguments: &str) -> Output {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        self.inside(|| command("ip").args(words).output().expect("`ip` of iproute2"))
    }

    /// Whether the kernel here has an address on eth0.
    pub(crate) fn has(&self, ip: &str) -> bool {
        self.ip("-o addr show dev eth0").contains(&format!(" {ip}/"))
    }

    /// Sets a network sysctl on this machine.
    pub(crate) fn sysctl(&self, path: &str, value: &str) {
        let path = format!("/proc/sys/net/{path}");
        let written = self.inside(|| std::fs::write(&path, value));
        assert!(written.is_ok(), "{path}: {written:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the outside view comes from other programs")]
fn command(program: &str) -> Command {
    Command::new(program)
}

/// The time of a test.
pub(crate) struct Clock(std::time::Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a test has a clock of its own")]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// As the daemon's clock, from the start of the test.
    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }

    /// A moment from now.
    pub(crate) fn after(&self, millis: u64) -> Instant {
        self.now() + Duration::from_millis(millis)
    }

    /// Waits until a moment has come.
    pub(crate) async fn reach(&self, moment: Option<Instant>) {
        match moment {
            Some(moment) => tokio::time::sleep(moment - self.now()).await,
            None => std::future::pending().await,
        }
    }
}

/// Waits for a condition, at most five seconds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let clock = Clock::start();
    while !condition() {
        assert!(clock.now() < Instant::from_millis(5000), "waited five seconds: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Fails if something takes longer than five seconds.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(5);
    tokio::time::timeout(limit, future)
        .await
        .unwrap_or_else(|_| panic!("waited five seconds: {what}"))
}

/// An address on eth0.
pub(crate) fn address(ip: &str) -> Address {
    let ip: std::net::IpAddr = ip.parse().expect("an address");
    Address { ip, prefix: if ip.is_ipv4() { 24 } else { 64 }, interface: Some("eth0".to_owned()) }
}
