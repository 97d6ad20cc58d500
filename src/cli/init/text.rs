//! From the answers to the text of cluster.toml. Names and addresses that passed the checks need no quoting. (What
//! `lubdub import` writes is another page: a former configuration with marks for what is not known, and little prose.)

use std::fmt::Write as _;

use super::Service;
use super::answers::{Cluster, Interface};

/// Columns of a comment.
const WIDTH: usize = 118;

/// The whole file.
pub(super) fn cluster_toml(cluster: &Cluster) -> String {
    let mut page = Page::default();
    head(&mut page, cluster);
    heartbeat(&mut page, cluster);
    nodes(&mut page, cluster);
    guard(&mut page, cluster);
    group(&mut page, cluster);
    page.0
}

fn head(page: &mut Page, cluster: &Cluster) {
    let kind = match cluster.nodes.len() {
        2 => "a pair".to_owned(),
        many => format!("{many} nodes"),
    };
    let has = match cluster.service {
        Service::Nginx => "nginx behind one address",
        Service::Httpd => "Apache behind one address",
        Service::None => "one address that moves",
    };
    page.comment(&format!("cluster.toml: {kind} with {has}. Made by `lubdub init`."));
    page.line("#");
    page.comment(
        "The same file belongs on every node; nodes tell each other when theirs differ. `lubdub check` tells everything \
         that is wrong with it, cluster.toml(5) what may be written besides. After a change restart the daemons, the \
         standby's first.",
    );
    page.line("");
    page.comment(
        "Name of the cluster: clusters that share a network are told apart by it, and by their keys.",
    );
    page.line(&format!("cluster = \"{}\"", cluster.name));
}

fn heartbeat(page: &mut Page, cluster: &Cluster) {
    page.line("\n[heartbeat]");
    page.comment("A node says that it lives this often.");
    page.line("keepalive = \"500ms\"");
    page.comment("Silence that is late: logged.");
    page.line("warntime = \"1s\"");
    page.comment(
        "Silence that is lost: the guard is asked, and takeover may follow. `lubdub status` shows the longest silence \
         seen, which this has to stand clear of.",
    );
    page.line("deadtime = \"2s\"");
    page.comment("Patience after a node's own start, while it hears no peer.");
    page.line("initdead = \"10s\"");
    page.comment(
        "Paths for heartbeats, from and to UDP port 694; a node is silent only when it is silent on all of them.",
    );
    if cluster.links().len() == 1 {
        page.comment(
            "There is one: when it fails the nodes lose sight of each other. Add a second that shares neither cable, \
             switch nor network card with it, here and to `address` of each node.",
        );
    }
    page.line("links = [");
    for link in cluster.links() {
        page.line(&format!("  {{ name = \"{link}\", transport = \"unicast\" }},"));
    }
    page.line("]\n");
}

fn nodes(page: &mut Page, cluster: &Cluster) {
    page.comment(
        "Nodes, in the same order everywhere, each by its host's name (`hostname -s`) and with its address on each link.",
    );
    for (place, node) in cluster.nodes.iter().enumerate() {
        page.line(if place > 0 { "\n[[node]]" } else { "[[node]]" });
        page.line(&format!("name = \"{}\"", node.name));
        let addresses: Vec<String> = cluster
            .links()
            .iter()
            .zip(&node.addresses)
            .map(|(link, ip)| format!("{link} = \"{ip}\""))
            .collect();
        page.line(&format!("address = {{ {} }}", addresses.join(", ")));
    }
}

fn guard(page: &mut Page, cluster: &Cluster) {
    page.line("");
    page.comment("What stands between a silent peer and two nodes that both run everything.");
    page.line("[guard]");
    page.comment(
        "Addresses outside the cluster that tell a node whether it is itself cut off: routers, switches.",
    );
    let ping: Vec<String> = cluster.ping.iter().map(|ip| format!("\"{ip}\"")).collect();
    page.line(&match ping.as_slice() {
        [] => "#ping = [\"ADDRESS\"]".to_owned(),
        some => format!("ping = [{}]", some.join(", ")),
    });
    page.comment(
        "A silent peer's addresses are asked for on the network of the clients: while they answer, nothing is taken over.",
    );
    page.line(if cluster.arp { "arp = true" } else { "arp = false" });
    if cluster.ping.is_empty() && !cluster.arp {
        page.comment(
            "Nothing does, as it is: nodes that do not hear each other both run everything.",
        );
        page.line("level = \"none\"");
    }
}

fn group(page: &mut Page, cluster: &Cluster) {
    page.line("");
    page.comment("What moves together. Resources start in this order and stop in reverse.");
    page.line("[[group]]");
    let (name, server) = match cluster.service {
        Service::Nginx => ("web", Some("nginx")),
        Service::Httpd => ("web", Some("httpd")),
        Service::None => ("address", None),
    };
    page.line(&format!("name = \"{name}\""));
    page.comment("Nodes in order of preference.");
    let prefer: Vec<String> =
        cluster.nodes.iter().map(|node| format!("\"{}\"", node.name)).collect();
    page.line(&format!("prefer = [{}]", prefer.join(", ")));
    page.comment("Whether the group goes back to a better node when that returns.");
    page.line("auto_failback = false\n");
    if let Some(server) = server {
        page.comment(&format!(
            "lubdub alone starts it: `systemctl disable` its unit on every node. `lubdub agent describe {server}` shows what \
             `params` can say."
        ));
        page.line("[[group.resource]]");
        page.line(&format!("name = \"{server}\""));
        page.line(&format!("agent = \"{server}\""));
        page.comment("How often it is looked at.");
        page.line("monitor = \"1s\"\n");
    }
    page.comment(match server {
        Some(_) => {
            "The address that the clients use: nothing else may put it anywhere. Last, so that they never meet a closed port."
        }
        None => {
            "The address that the clients use: nothing else may put it anywhere. What answers there goes before it, as \
             another [[group.resource]], or runs on every node all the time."
        }
    });
    page.line("[[group.resource]]");
    page.line("name = \"vip\"");
    page.line("agent = \"IPaddr\"");
    let (ip, prefix) = cluster.address;
    let interface = match &cluster.interface {
        Interface::ByNetwork => String::new(),
        Interface::Same(name) => format!(", interface = \"{name}\""),
        Interface::Each(names) => {
            let each: Vec<String> =
                names.iter().map(|(node, name)| format!("{node} = \"{name}\"")).collect();
            format!(", interface = {{ {} }}", each.join(", "))
        }
    };
    page.line(&format!("params = {{ ip = \"{ip}/{prefix}\"{interface} }}"));
}

/// The text so far.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        let _infallible = writeln!(self.0, "{line}");
    }

    fn comment(&mut self, text: &str) {
        for line in crate::cli::output::wrap(text, WIDTH) {
            let _infallible = writeln!(self.0, "# {line}");
        }
    }
}
