//! The service manager: readiness and a line of status, as `sd_notify(3)` describes them. Without one it does nothing.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::cluster::snapshot::{NodeState, Snapshot};
use crate::wire::Run;

/// Groups and peers that are named in a line of status.
const NAMED: usize = 8;

/// Where the service manager listens: a path, or `@` and an abstract name.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// The way to the service manager.
#[derive(Debug, Default)]
pub struct Notifier(Option<UnixDatagram>);

impl Notifier {
    /// The service manager that started this process, if there is one.
    ///
    /// # Errors
    ///
    /// `NOTIFY_SOCKET` is set and nobody can be reached there.
    pub fn from_env() -> Result<Self, NotifyError> {
        env::var_os(VARIABLE).map_or(Ok(Self(None)), Self::connect)
    }

    fn connect(address: OsString) -> Result<Self, NotifyError> {
        let connected = to_address(&address).and_then(|target| {
            let socket = UnixDatagram::unbound()?;
            // The loop does not wait for a service manager that does not read.
            socket.set_nonblocking(true)?;
            socket.connect_addr(&target)?;
            Ok(socket)
        });
        connected.map(|socket| Self(Some(socket))).map_err(|source| NotifyError { address, source })
    }

    /// The loop runs. Whether the node takes part yet is for the status: initdead may last longer than a unit may start.
    ///
    /// # Errors
    ///
    /// The service manager does not take it.
    pub fn ready(&self) -> io::Result<()> {
        self.send("READY=1")
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// What `systemctl status` shows; one line.
    ///
    /// # Errors
    ///
    /// The service manager does not take it.
    pub fn status(&self, text: &str) -> io::Result<()> {
        self.send(&format!("STATUS={}", text.replace('\n', " ")))
    }

    /// The daemon was told to end and hands its groups over.
    ///
    /// # Errors
    ///
    /// The service manager does not take it.
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    fn send(&self, message: &str) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |socket| socket.send(message.as_bytes()).map(drop))
    }
}

/// A node in one line: where its groups run, and which peers are not there.
#[must_use]
pub fn summary(snapshot: &Snapshot) -> String {
    let groups = snapshot.groups.iter().flat_map(|group| {
        let nowhere = group.holders.is_empty().then(|| format!("{} runs nowhere", group.name));
        let held = group.holders.iter().map(|(node, run, _)| {
            let does = match run {
                Run::Claiming | Run::Starting => "starts",
                Run::Started => "runs",
                Run::Stopping => "stops",
                Run::Blocked => "is blocked",
                Run::Unknown | Run::Stopped => "may run",
            };
            let here = *node == snapshot.node;
            let place = if here { "here".to_owned() } else { format!("on {node}") };
            format!("{} {does} {place}", group.name)
        });
        nowhere.into_iter().chain(held)
    });
    let peers = snapshot.nodes.iter().filter_map(|node| {
        let state = match node.state {
            NodeState::Up => return None,
            NodeState::Late => "is late",
            NodeState::Lost => "is lost",
            NodeState::Dead => "is dead",
            NodeState::Left => "left",
            NodeState::Unknown => "was never heard",
        };
        Some(format!("{} {state}", node.name))
    });
    let maintenance = snapshot.maintenance.as_ref().map(|view| match (view.on, view.in_force) {
        (true, true) => "in maintenance".to_owned(),
        (true, false) => "maintenance is not in force yet".to_owned(),
        (false, _) => "not every node knows that maintenance is over".to_owned(),
    });
    let mut all: Vec<String> = maintenance.into_iter().chain(peers).chain(groups).collect();
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    if more > 0 {
        all.push(format!("{more} more"));
    }
    all.join("; ")
}

/// `NOTIFY_SOCKET` leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("{VARIABLE}={}: {source}; start the daemon from its unit, or unset the variable", address.display())]
pub struct NotifyError {
    address: OsString,
    source: io::Error,
}

fn to_address(address: &OsStr) -> io::Result<SocketAddr> {
    match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(address),
        _ => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract socket"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_hears_everything_by_path_and_by_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify").into_os_string();
        // Names of abstract sockets are not files: the scratch directory's name makes this one unique.
        let mut name = OsString::from("@");
        name.push(&path);
        for address in [path, name] {
            let manager = UnixDatagram::bind_addr(&to_address(&address).unwrap()).unwrap();
            let notifier = Notifier::connect(address).unwrap();
            notifier.ready().unwrap();
            notifier.status("web runs here\nREADY=0").unwrap();
            notifier.stopping().unwrap();
            let heard = [received(&manager), received(&manager), received(&manager)];
            assert_eq!(heard, ["READY=1", "STATUS=web runs here READY=0", "STOPPING=1"]);
        }
    }

    #[test]
    fn a_summary_names_what_runs_where_and_who_is_missing() {
        let file = crate::config::parse(include_str!("../../etc/cluster.toml"), "sample").unwrap();
        let beginning = crate::cluster::time::Instant::default();
        let config = file.for_node("beta").unwrap();
        let node = crate::cluster::Node::new(config, crate::wire::Incarnation(1), 1, beginning);
        let mut snapshot = node.snapshot(beginning);
        assert_eq!(summary(&snapshot), "alpha was never heard; web runs nowhere");
        snapshot.nodes[0].state = NodeState::Up;
        let term = crate::wire::Term(1);
        snapshot.groups[0].holders = vec![("beta".to_owned(), Run::Started, term)];
        assert_eq!(summary(&snapshot), "web runs here");
        snapshot.groups[0].holders[0] = ("alpha".to_owned(), Run::Blocked, term);
        snapshot.groups = vec![snapshot.groups[0].clone(); NAMED + 2];
        let line = summary(&snapshot);
        assert_eq!(line.matches("web is blocked on alpha; ").count(), NAMED);
        assert!(line.ends_with("; 2 more"), "{line}");
    }

    #[test]
    fn a_manager_that_is_not_there_is_told_and_none_at_all_is_fine() {
        let error = Notifier::connect("/nowhere/notify".into()).unwrap_err().to_string();
        assert!(error.starts_with("NOTIFY_SOCKET=/nowhere/notify: No such file"), "{error}");
        assert!(Notifier::connect("vsock:2:1".into()).is_err());
        assert!(Notifier(None).ready().is_ok());
    }

    #[test]
    fn a_manager_that_does_not_read_does_not_hold_up_the_daemon() {
        let dir = tempfile::tempdir().unwrap();
        let address = dir.path().join("notify");
        let _manager = UnixDatagram::bind(&address).unwrap();
        let notifier = Notifier::connect(address.into_os_string()).unwrap();
        let refused = (0..100_000).find_map(|_| notifier.ready().err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }
}
