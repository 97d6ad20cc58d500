//! Two machines with nginx on two networks, a client of theirs beside a ping node, and lubdub installed and configured.

use std::net::SocketAddr;
use std::path::Path;

use lubdub::lab::wait_for;

use crate::client::{Client, Fate};
use crate::machine::{Machine, PATIENCE, command, package, succeed};

pub(crate) const ADDRESS: &str = "10.77.0.100";

/// A deadtime that a busy machine does not reach, and an initdead for machines that are alone on purpose.
const CONFIGURATION: &str = r#"
cluster = "web"
[heartbeat]
keepalive = "200ms"
deadtime = "3s"
initdead = "3s"
links = [{ name = "lan" }, { name = "private" }]
[[node]]
name = "alpha"
address = { lan = "10.77.0.11", private = "10.77.1.11" }
[[node]]
name = "beta"
address = { lan = "10.77.0.12", private = "10.77.1.12" }
[guard]
ping = ["10.77.0.254"]
arp = true
[[group]]
name = "web"
prefer = ["alpha", "beta"]
[[group.resource]]
name = "nginx"
agent = "nginx"
monitor = "1s"
[[group.resource]]
name = "vip"
agent = "IPaddr"
params = { ip = "10.77.0.100/24" }
"#;

/// The networks, here: each a bridge. On the first one this is the ping node and the client.
pub(crate) fn lay_networks() {
    ip(&[
        "link add lan type bridge",
        "address add 10.77.0.254/24 dev lan",
        "link set lan up",
        "link add private type bridge",
        "link set private up",
    ]);
}

/// Boots a machine, plugs it in, and gives it nginx. Nothing of lubdub is there.
pub(crate) fn boot(name: &'static str, number: u8) -> Machine {
    let machine = Machine::boot(name);
    let pid = machine.init();
    ip(&[
        &format!("link add lan-{name} type veth peer name eth0 netns {pid}"),
        &format!("link add private-{name} type veth peer name eth1 netns {pid}"),
        &format!("link set lan-{name} master lan up"),
        &format!("link set private-{name} master private up"),
    ]);
    machine.shell(&format!(
        "ip address add 10.77.0.{number}/24 dev eth0 && ip link set eth0 up
         ip address add 10.77.1.{number}/24 dev eth1 && ip link set eth1 up"
    ));
    machine.shell("mkdir -p /var/log/nginx /var/lib/nginx");
    machine.write(
        "/etc/nginx/nginx.conf",
        &format!(
            "user www-data;\nworker_processes 1;\npid /run/nginx.pid;\nerror_log /var/log/nginx/error.log;\n\
             events {{}}\nhttp {{ access_log off; server {{ listen 80; return 200 \"{name}\\n\"; }} }}\n"
        ),
    );
    machine
}

/// Writes configuration and keys; the keys are made by the first machine.
pub(crate) fn configure(machine: &Machine, first: &Machine) {
    machine.write("/etc/lubdub/cluster.toml", CONFIGURATION);
    let keys = "/etc/lubdub/authkeys";
    if machine.name() == first.name() {
        machine.shell("lubdub keygen");
    } else {
        std::fs::copy(first.path(keys), machine.path(keys)).unwrap();
    }
    machine.shell("lubdub check");
}

/// A pair of which alpha runs the group, and its client.
pub(crate) struct Pair {
    pub(crate) client: Client,
    pub(crate) alpha: Machine,
    pub(crate) beta: Machine,
}

impl Pair {
    pub(crate) fn begin() -> Self {
        lay_networks();
        let (alpha, beta) = (boot("alpha", 11), boot("beta", 12));
        for machine in [&alpha, &beta] {
            machine.install(&package());
            configure(machine, &alpha);
        }
        for machine in [&alpha, &beta] {
            machine.shell("systemctl enable --now lubdub");
        }
        let pair = Self { client: ask(), alpha, beta };
        pair.served_by("alpha");
        pair.wait_whole();
        pair.client.take();
        pair
    }

    /// Waits until this node serves the client.
    pub(crate) fn served_by(&self, node: &str) {
        served_by(&self.client, node);
    }

    /// Waits until both machines say that nothing is amiss (exit code 0 of `lubdub status`).
    pub(crate) fn wait_whole(&self) {
        for machine in [&self.alpha, &self.beta] {
            machine.until("nothing is amiss", "lubdub status");
        }
    }
}

/// Sets a client to work.
pub(crate) fn ask() -> Client {
    Client::start(SocketAddr::new(ADDRESS.parse().unwrap(), 80))
}

/// Waits until this node serves the client.
pub(crate) fn served_by(client: &Client, node: &str) {
    wait_for(&format!("{node} serves the client"), PATIENCE, || Ok(client.is_served_by(node)))
        .unwrap();
}

/// The nodes that answered, in order, each once in a row; failures are left out.
pub(crate) fn answered(fates: &[Fate]) -> Vec<&str> {
    let mut nodes: Vec<&str> = fates.iter().filter_map(|fate| fate.as_deref().ok()).collect();
    nodes.dedup();
    nodes
}

/// The process id of nginx's master, which has to run.
pub(crate) fn nginx(machine: &Machine) -> String {
    machine.shell("pid=$(cat /run/nginx.pid) && test -d /proc/$pid && echo $pid")
}

/// Neither nginx nor the address is there.
#[track_caller]
pub(crate) fn runs_nothing(machine: &Machine) {
    let (left, _) =
        machine.shell_output("pgrep --list-full nginx; ip -o address show to 10.77.0.100");
    assert_eq!(left, "", "on {}", machine.name());
}

fn ip(lines: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let batch: &Path = &directory.path().join("batch");
    std::fs::write(batch, lines.join("\n") + "\n").unwrap();
    succeed(command("ip").arg("-batch").arg(batch));
}
